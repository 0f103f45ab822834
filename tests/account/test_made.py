"""What is made is written down first, and deleted whatever happens: all of it, and nothing else."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.backends import get_backend
from moto.sagemaker.models import sagemaker_backends

from tests.account import made as module
from tests.account.limits import STARTS, Bound
from tests.account.made import Made, unfinished
from tests.account.questions import answers
from tests.account.scenario import Scenario

ACCOUNT, REGION, BUCKET, NAME = "123456789012", "us-east-1", "bucket", "dpo-account-test-1"
PREFIX = f"account-test/{NAME}/"


@pytest.fixture(scope="module")
def clients() -> Iterator[Any]:
    """moto's clients, by service and region, each made once."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        yield cache(lambda service, region: boto3.client(service, region_name=region))


@pytest.fixture
def s3(clients, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A bucket that keeps old versions, with objects of this test, of another one, and of nobody's."""
    monkeypatch.setattr(module.time, "sleep", lambda _seconds: None)
    get_backend("s3")[ACCOUNT]["aws"].reset()
    s3 = clients("s3", REGION)
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for key in ("other/kept", f"{PREFIX}a", f"{PREFIX}a", f"{PREFIX}b", "account-test/another/c"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    s3.delete_object(Bucket=BUCKET, Key=f"{PREFIX}b")
    return s3


class Calls:
    """Clients of moto's; what SageMaker is asked to delete or stop is listed, and moto lacks some of it."""

    def __init__(self, clients: Any, executions: Sequence[str] = ()):
        self.done: list[str] = []
        self.clients, self.states = clients, list(executions)

    def __call__(self, service: str, region: str) -> Any:
        return self if service == "sagemaker" else self.clients(service, region)

    def describe_pipeline(self, PipelineName: str) -> dict[str, Any]:
        return {"PipelineName": PipelineName, "PipelineDefinition": "{}"}

    def describe_model_package_group(self, ModelPackageGroupName: str) -> dict[str, Any]:
        return {"ModelPackageGroupName": ModelPackageGroupName}

    def get_paginator(self, operation: str) -> Any:
        arn = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/{}"
        pages = {
            "list_pipeline_executions": {"PipelineExecutionSummaries": [
                {"PipelineExecutionArn": arn.format(number), "PipelineExecutionStatus": state}
                for number, state in enumerate(self.states)]},
            "list_model_packages": {"ModelPackageSummaryList": [{"ModelPackageArn": f"g/{n}"} for n in (1, 2)]},
        }  # fmt: skip
        page = pages[operation]

        class Pages:
            def paginate(self, **_request: Any) -> list[dict[str, Any]]:
                return [page]

        return Pages()

    def stop_pipeline_execution(self, PipelineExecutionArn: str) -> None:
        self.done.append(f"stop {PipelineExecutionArn[-1]}")
        self.states = ["Stopped"] * len(self.states)

    def delete_pipeline(self, PipelineName: str) -> None:
        self.done.append(f"delete {PipelineName}")

    def delete_model_package(self, ModelPackageName: str) -> None:
        self.done.append(f"delete {ModelPackageName}")

    def delete_model_package_group(self, ModelPackageGroupName: str) -> None:
        self.done.append(f"delete group {ModelPackageGroupName}")


def listed(folder: Path) -> Made:
    made = Made(folder / f"{NAME}.made")
    made.note("objects", name=PREFIX, region=REGION, bucket=BUCKET)
    made.note("group", name=NAME, region=REGION)
    made.note("pipeline", name=NAME, region=REGION)
    made.note("schedule", name=f"{NAME}.never", group="dpo-pipeline", region=REGION)
    return made


def keys(s3: Any) -> list[str]:
    found = s3.list_object_versions(Bucket=BUCKET)
    return sorted(entry["Key"] for kind in ("Versions", "DeleteMarkers") for entry in found.get(kind, []))


def test_all_is_deleted_with_every_version_and_the_list_with_it(clients, s3, tmp_path: Path) -> None:
    made, calls, said = listed(tmp_path), Calls(clients, ["Succeeded", "Executing"]), []
    assert unfinished(tmp_path) == [made.path]
    assert made.delete(said.append, calls) == []
    assert calls.done == ["stop 1", f"delete {NAME}", "delete g/1", "delete g/2", f"delete group {NAME}"]
    assert keys(s3) == ["account-test/another/c", "other/kept"]
    assert f"deleted 4 objects under s3://{BUCKET}/{PREFIX}" in said
    assert unfinished(tmp_path) == []


def test_what_cannot_be_deleted_keeps_the_list_and_not_the_rest(clients, s3, tmp_path: Path, monkeypatch) -> None:
    made, calls = listed(tmp_path), Calls(clients)
    monkeypatch.setattr(calls, "delete_pipeline", None)
    (left,) = made.delete(lambda _line: None, calls)
    assert left.startswith(f"pipeline {NAME}: ")
    assert f"delete group {NAME}" in calls.done and len(keys(s3)) == 2
    assert unfinished(tmp_path) == [made.path]
    monkeypatch.undo()
    assert made.delete(lambda _line: None, calls) == []


def test_an_execution_that_does_not_stop_keeps_its_pipeline(clients, s3, tmp_path: Path, monkeypatch) -> None:
    made, calls = listed(tmp_path), Calls(clients, ["Executing"])
    monkeypatch.setattr(calls, "stop_pipeline_execution", lambda **_request: None)
    (left,) = made.delete(lambda _line: None, calls)
    assert left == f"pipeline {NAME}: an execution is still running 900 s after it was stopped"


def test_no_other_objects_can_be_deleted(clients, s3, tmp_path: Path) -> None:
    made, before = Made(tmp_path / "x.made"), keys(s3)
    places = ["", "account-test/", "other/", f"account-test/{NAME}", "dpo/runs/"]
    for place in places:
        made.note("objects", name=place, region=REGION, bucket=BUCKET)
    left = made.delete(lambda _line: None, Calls(clients))
    assert len(left) == len(places)
    assert all("is no prefix of an account test, nothing is deleted there" in problem for problem in left)
    assert keys(s3) == before


def test_what_was_never_made_is_no_failure(clients, s3, tmp_path: Path) -> None:
    """moto has neither the pipeline nor the group nor the schedule."""
    assert sagemaker_backends[ACCOUNT][REGION].pipelines == {}
    made = listed(tmp_path)
    assert made.delete(lambda _line: None, clients) == []


@pytest.mark.parametrize("ending", [KeyboardInterrupt, RuntimeError, None])
def test_it_is_written_down_before_it_is_made_and_deleted_however_it_ends(clients, s3, tmp_path: Path, ending) -> None:
    made, calls, noted = Made(tmp_path / f"{NAME}.made"), Calls(clients, ["Executing"]), []
    (tmp_path / "account.yaml").write_text(f"region: {REGION}\nbucket: {BUCKET}\n")

    def run_command(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        noted.append((words[0], {entry["kind"] for entry in made.entries()}))
        if ending:
            raise ending
        return subprocess.CompletedProcess(words, 1, "", "AWS: CreatePipeline was refused")

    most, said = Bound({start.name: 1.0 for start in STARTS}, tmp_path / "prices.yaml"), []
    settings = tmp_path / "step.yaml"
    scenario = Scenario(NAME, settings, settings, most, made, run_command, said.append, calls)
    if ending:
        with pytest.raises(ending):
            scenario.run()
    else:
        assert scenario.run()[1] == []
        assert "the account test ends early: upsert was refused: AWS: CreatePipeline was refused" in said
    assert noted == [("upsert", {"objects", "group", "pipeline"})]
    assert calls.done[0] == "stop 0" and f"delete {NAME}" in calls.done and not made.path.exists()
    assert keys(s3) == ["account-test/another/c", "other/kept"]


def test_where_the_step_is_refused_the_job_registers(clients, s3, tmp_path: Path) -> None:
    (tmp_path / "account.yaml").write_text(f"region: {REGION}\nbucket: {BUCKET}\n")
    by_step, by_job = tmp_path / "step.yaml", tmp_path / "job.yaml"
    asked: list[tuple[str, Path]] = []

    def run_command(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        asked.append((words[0], Path(words[-1])))
        refused = words[0] == "upsert" and Path(words[-1]) == by_step
        said = "error: AWS: Pipelines does not take ModelDataSource in RegisterMerged (…)" if refused else ""
        return subprocess.CompletedProcess(words, int(refused), "", said)

    most = Bound({start.name: 1.0 for start in STARTS}, tmp_path / "prices.yaml")
    made, said = Made(tmp_path / f"{NAME}.made"), []
    evidence, _ = Scenario(NAME, by_step, by_job, most, made, run_command, said.append, Calls(clients)).run()
    assert asked == [("upsert", by_step), ("upsert", by_job), ("start", by_job)]
    assert "the account test ends early: first was not started: it said nothing" in said
    found = {question.text: answer for question, answer in answers(evidence)}
    (first, *others) = found.values()
    assert first.good is False and "does not take ModelDataSource" in first.seen
    assert {answer.good for answer in others} == {None}
    assert all(answer.seen.startswith("not asked: the run did not come to ") for answer in others)
