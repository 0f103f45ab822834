"""The job that registers in the step's place: one version an execution, in moto's registry and in a local one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from steps.champion import approved, objects
from steps.register.__main__ import main
from steps.shared.contract import StepError

GROUP = "dpo-quickstart"
EXECUTION = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/dpo-quickstart/execution/{}"
MODEL = "s3://bucket/runs/1/Merge/model/"
KEY = "runs/1/Merge/model/config.json"


@pytest.fixture(scope="module")
def moto() -> Iterator[Any]:
    """A SageMaker client of moto's, and the model in its S3."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key=KEY, Body=b"{}")
        yield boto3.client("sagemaker")


@pytest.fixture
def client(moto: Any) -> Any:
    """The same with an empty group."""
    get_backend("sagemaker")[DEFAULT_ACCOUNT_ID]["us-east-1"].reset()
    moto.create_model_package_group(ModelPackageGroupName=GROUP)
    return moto


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(approved.VARIABLE, str(tmp_path / "registry"))
    monkeypatch.setenv(objects.VARIABLE, str(tmp_path / "s3"))
    model = tmp_path / "s3" / "bucket" / KEY
    model.parent.mkdir(parents=True)
    model.write_text("{}")
    return tmp_path / "registry"


@pytest.fixture
def register(tmp_path: Path):
    """`register(execution, …)`: run the job, and what it wrote."""
    (tmp_path / "card.json").write_text(json.dumps({"content": '{"a": 1}'}))

    def run(execution: str = "aaaaaaaaaaaa", variant: str = "merged", *more: str, model: str = MODEL) -> dict[str, str]:
        words = {
            "--group": GROUP,
            "--description": "DPO model",
            "--approval-status": "PendingManualApproval",
            "--image": "image",
            "--model-uri": model,
            "--instance-type": "ml.g5.2xlarge",
            "--evaluation-uri": "s3://bucket/runs/1/evaluation.json",
            "--report-uri": "s3://bucket/runs/1/report.json",
            "--card": str(tmp_path / "card.json"),
            "--output": str(tmp_path / "registered"),
        }
        facts = {"variant": variant, "execution_arn": EXECUTION.format(execution)}
        given = [word for pair in words.items() for word in pair]
        given += [word for name, value in facts.items() for word in ("--metadata", f"{name}={value}")]
        main([*given, "--environment", "HF_MODEL_ID=/opt/ml/model", "--environment", "OPTION_A=x=y", *more])
        return json.loads((tmp_path / "registered" / "registered.json").read_text())

    return run


def numbers(client: Any) -> list[int]:
    found = client.list_model_packages(ModelPackageGroupName=GROUP)["ModelPackageSummaryList"]
    return sorted(entry["ModelPackageVersion"] for entry in found)


def test_a_version_is_registered_and_its_arn_left_for_later_steps(client, register) -> None:
    written = register()
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:model-package/{GROUP}/1"
    assert written == {
        "model_package_arn": arn, "version": "1", "group": GROUP, "variant": "merged", "model": MODEL,
        "approval_status": "PendingManualApproval",
    }  # fmt: skip
    package = client.describe_model_package(ModelPackageName=arn)
    (container,) = package["InferenceSpecification"]["Containers"]
    assert container["ModelDataSource"]["S3DataSource"]["S3Uri"] == MODEL
    assert container["Environment"] == {"HF_MODEL_ID": "/opt/ml/model", "OPTION_A": "x=y"}


def test_a_job_that_runs_again_finds_its_version_and_other_executions_make_their_own(client, register) -> None:
    first = register()
    register("bbbbbbbbbbbb", "merged", "--metadata", "data_hash=other")
    assert register() == first  # behind a newer one
    assert register(variant="adapter")["version"] == "3"
    assert numbers(client) == [1, 2, 3]


def test_another_execution_with_the_same_outcome_makes_no_second_version(client, register, capsys) -> None:
    first = register()
    assert register("bbbbbbbbbbbb") == first and numbers(client) == [1]
    assert (
        f"version 1 of {GROUP} is the same, registered by {EXECUTION.format('aaaaaaaaaaaa')}" in capsys.readouterr().out
    )


def test_so_it_is_in_a_local_registry_whatever_was_decided_and_beside_damaged_versions(local: Path, register) -> None:
    first = register()
    file = local / GROUP / "1" / "package.json"
    decided = json.loads(file.read_text()) | {"ModelApprovalStatus": "Rejected", "ApprovalDescription": "bad"}
    file.write_text(json.dumps(decided))
    (local / GROUP / "2").mkdir()
    (local / GROUP / "2" / "package.json").write_text("{")
    assert register("bbbbbbbbbbbb") == first | {"approval_status": "Rejected"}
    file.write_text("[]")
    assert register("bbbbbbbbbbbb")["version"] == "3"


def test_the_request_is_known_again_where_the_list_does_not_show_the_version_yet(client, register, monkeypatch) -> None:
    """The registry may answer a list before it shows what was just created: the token is the same each time."""
    tokens: list[str] = []

    def create(**request: Any) -> dict[str, str]:
        tokens.append(request["ClientToken"])
        return {"ModelPackageArn": f"arn:aws:sagemaker:us-east-1:123456789012:model-package/{GROUP}/1"}

    with Stubber(client) as stubber:
        for _ in range(3):
            stubber.add_response("list_model_packages", {"ModelPackageSummaryList": []})
        monkeypatch.setattr(client, "create_model_package", create)
        monkeypatch.setattr(approved, "client", lambda _service: client)
        monkeypatch.setattr(objects, "present", lambda _uri: True)
        for execution in ("aaaaaaaaaaaa", "aaaaaaaaaaaa", "bbbbbbbbbbbb"):
            register(execution)
    assert tokens[0] == tokens[1] != tokens[2]
    assert all(len(token) == 36 for token in tokens)  # the longest that the API takes


def test_a_local_run_has_its_versions_in_its_own_registry(local: Path, register) -> None:
    first = register()
    assert register() == first and register("bbbbbbbbbbbb", "merged", "--metadata", "rows=3")["version"] == "2"
    assert first["model_package_arn"].endswith(f":model-package/{GROUP}/1")
    package = json.loads((local / GROUP / "1" / "package.json").read_text())
    assert package["ModelCard"]["ModelCardContent"] == '{"a": 1}'


def test_a_model_that_is_not_there_is_not_registered(local: Path, register) -> None:
    with pytest.raises(StepError, match=f"{GROUP}: the model s3://bucket/runs/2/ does not exist"):
        register(model="s3://bucket/runs/2/")
    assert not (local / GROUP).exists()


def test_what_the_registry_refuses_is_named_with_the_call(client, register, monkeypatch) -> None:
    monkeypatch.setattr(approved, "client", lambda _service: client)
    monkeypatch.setattr(objects, "present", lambda _uri: True)
    with Stubber(client) as stubber:
        stubber.add_response("list_model_packages", {"ModelPackageSummaryList": []})
        stubber.add_client_error("create_model_package", "AccessDeniedException", "who may not do this")
        with pytest.raises(StepError, match=f"sagemaker:CreateModelPackage in the model package group {GROUP}: "):
            register()


def test_metadata_that_are_no_pair_or_do_not_name_the_execution_are_refused(local: Path, register, tmp_path) -> None:
    with pytest.raises(StepError, match="--metadata variant: must look like NAME=VALUE"):
        register("aaaaaaaaaaaa", "merged", "--metadata", "variant")
    with pytest.raises(StepError, match="--metadata: execution_arn and variant must be given"):
        main(without_metadata(tmp_path))


def without_metadata(folder: Path) -> list[str]:
    words = ("description", "approval-status", "image", "model-uri", "instance-type", "evaluation-uri", "report-uri")
    given = [word for name in words for word in (f"--{name}", "x")]
    return [*given, "--group", GROUP, "--card", str(folder / "card.json"), "--output", str(folder)]
