"""The newest approved version, from SageMaker's registry (moto) and from a local one: the same facts of both."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws

from pipeline.checks.service_model import service, value_problem
from pipeline.local.state import model_packages as local_registry
from pipeline.local.state.store import Store
from steps.champion import approved, objects
from steps.champion.__main__ import look_up, main
from steps.shared.contract import StepError
from steps.shared.serving import ADAPTER_FOLDER
from tests.pipeline.registered import BUCKET, register

GROUP, PLACEHOLDER = "dpo-quickstart", "s3://bucket/inputs/recipes/KEY/"
ADAPTER = "s3://bucket/runs/{}/Gate/adapter/"
NOTHING = {
    "found": "false", "version": "none", "arn": "none", "adapter_uri": PLACEHOLDER, "base_model": "none",
    "data_hash": "none", "reward_accuracy": "none", "reason": f"no version of {GROUP} is approved",
    "last_registered_version": "none", "last_registered_data_hash": "none",
}  # fmt: skip


def facts(run: int) -> dict[str, str]:
    return {
        "adapter_uri": ADAPTER.format(run), "base_model": "owner/base@main", "data_hash": f"hash-{run}",
        "reward_accuracy": f"0.{run}",
    }  # fmt: skip


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="runs/2/Gate/adapter/adapter_config.json", Body=b"{}")
        yield boto3.client("sagemaker")


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A local root; the adapter of run 1 is there."""
    monkeypatch.setenv(approved.VARIABLE, str(local_registry.home(tmp_path)))
    monkeypatch.setenv(objects.VARIABLE, str(tmp_path / "s3"))
    adapter = tmp_path / "s3" / "bucket" / "runs" / "1" / "Gate" / "adapter"
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text("{}")
    return tmp_path


def package(client: Any, status: str, metadata: dict[str, str]) -> None:
    client.create_model_package(
        ModelPackageGroupName=GROUP,
        ModelApprovalStatus=status,
        **({"CustomerMetadataProperties": metadata} if metadata else {}),
    )


def test_the_newest_approved_version_is_found_behind_many_newer_ones(client) -> None:
    client.create_model_package_group(ModelPackageGroupName=GROUP)
    package(client, "Approved", facts(1))
    package(client, "Approved", facts(2))
    for run in range(3, 108):  # more than a page of ListModelPackages, which has 100
        package(client, "Rejected" if run % 2 else "PendingManualApproval", facts(run))
    assert look_up(GROUP, PLACEHOLDER) == {
        "found": "true", "version": "2", "arn": f"arn:aws:sagemaker:us-east-1:123456789012:model-package/{GROUP}/2",
        "reason": f"version 2 is the newest approved one of {GROUP}", **facts(2),
        "last_registered_version": "107", "last_registered_data_hash": "hash-107",
    }  # fmt: skip


def test_without_a_group_or_an_approved_version_the_placeholder_stands(client) -> None:
    assert look_up(GROUP, PLACEHOLDER) == NOTHING
    client.create_model_package_group(ModelPackageGroupName=GROUP)
    assert look_up(GROUP, PLACEHOLDER) == NOTHING
    package(client, "PendingManualApproval", {})
    assert look_up(GROUP, PLACEHOLDER) == NOTHING | {"last_registered_version": "1"}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ClientError({"Error": {"Code": "AccessDeniedException", "Message": "role/dpo is not\nauthorized"}}, "x"),
         "the job's role may not do this (role/dpo is not authorized); allow the action in the role's policy"),
        (ClientError({"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, "x"),
         "throttled after several tries; retry the execution"),
        (ClientError({"Error": {"Code": "ValidationException", "Message": "bad name"}}, "x"),
         "ValidationException: bad name; fix it, then retry the execution"),
        (EndpointConnectionError(endpoint_url="https://aws.test"),
         'Could not connect to the endpoint URL: "https://aws.test"; fix it, then retry the execution'),
    ],
    ids=["denied", "throttled", "other", "network"],
)  # fmt: skip
def test_an_error_of_the_service_is_one_line_with_action_and_group(monkeypatch, error: Exception, said: str) -> None:
    class Refusing:
        def get_paginator(self, _: str) -> Any:
            raise error

    monkeypatch.setattr(approved, "client", lambda _: Refusing())
    with pytest.raises(StepError) as caught:
        look_up(GROUP, PLACEHOLDER)
    assert str(caught.value) == f"sagemaker:ListModelPackages on the model package group {GROUP}: {said}"


def test_throttled_calls_are_tried_again_by_botocore(client) -> None:
    retries = approved.client("sagemaker").meta.config.retries
    assert (retries["mode"], retries["total_max_attempts"]) == ("standard", 6)


def test_a_local_registry_gives_the_same_facts(forked, local: Path) -> None:
    assert look_up(GROUP, PLACEHOLDER) == NOTHING
    first = register(local, {"a": 1.0}, hashed=False, **facts(1))
    register(local, {"a": 1.0}, hashed=False, **facts(2))
    register(local, {"a": 1.0}, group="others", hashed=False, **facts(9))
    assert look_up(GROUP, PLACEHOLDER)["last_registered_version"] == "2"
    local_registry.decide(local, first["ModelPackageArn"], "Approved", "")
    (local / "s3" / "bucket" / "data").mkdir(parents=True)
    (local / "s3" / "bucket" / "data" / "a.jsonl").write_text("{}")
    words = ["--group", GROUP, "--placeholder", PLACEHOLDER, "--data", "s3://bucket/data/", "--output", local / "out"]
    variables = {approved.VARIABLE: str(local / "registry"), objects.VARIABLE: str(local / "s3")}
    done = forked("-m", "steps.champion", *words, **variables)
    assert (done.returncode, done.stdout) == (0, f"version 1 is the newest approved one of {GROUP}\n"), done.stderr
    found = json.loads((local / "out" / "champion.json").read_text())
    assert len(found.pop("data_state")) == len(found.pop("origins_hash")) == 64
    assert found == {
        "found": "true", "version": "1", "arn": first["ModelPackageArn"], **facts(1), "model_commit": "none",
        "reason": f"version 1 is the newest approved one of {GROUP}",
        "last_registered_version": "2", "last_registered_data_hash": "hash-2",
    }  # fmt: skip


def test_an_approved_version_whose_adapter_was_deleted_is_no_champion(local: Path) -> None:
    version = register(local, {"a": 1.0}, hashed=False, **facts(2))
    local_registry.decide(local, version["ModelPackageArn"], "Approved", "")
    found = look_up(GROUP, PLACEHOLDER)
    assert (found["found"], found["version"], found["adapter_uri"]) == ("false", "1", PLACEHOLDER)
    gone = f"version 1 of {GROUP} is approved, and its adapter is not there any more ({ADAPTER.format(2)})"
    assert found["reason"] == gone


def test_a_damaged_version_is_named_where_it_lies_and_not_by_the_jobs_link(local: Path, monkeypatch) -> None:
    link = local / "link"
    link.symlink_to(local / "registry", target_is_directory=True)
    monkeypatch.setenv(approved.VARIABLE, str(link))
    file = local / "registry" / GROUP / "1" / "package.json"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    with pytest.raises(StepError) as error:
        approved.versions(GROUP)
    assert str(error.value).count(str(file.parent)) == 2 and str(link) not in str(error.value)
    file.unlink()
    with pytest.raises(StepError, match=f"{file}: the file of a registered version is gone; restore it, or remove"):
        approved.versions(GROUP)


def test_a_champion_whose_files_were_swapped_stops_the_execution(local: Path) -> None:
    run = f"{BUCKET}/run-{GROUP}-1"
    version = register(local, {"a": 1.0}, adapter_uri=f"{run}/serving/{ADAPTER_FOLDER}/")
    local_registry.decide(local, version["ModelPackageArn"], "Approved", "")
    assert look_up(GROUP, PLACEHOLDER)["found"] == "true"
    place = Store(local).path(f"{run}/serving/{ADAPTER_FOLDER}/adapter_model.safetensors")
    place.write_text("other weights")
    said = (
        f"version 1 of {GROUP} is not what was approved: in {run}/serving/ {ADAPTER_FOLDER}/adapter_model.safetensors"
    )
    with pytest.raises(StepError, match=f"^{said} has 13 bytes, the registered one has 7; reject it"):
        look_up(GROUP, PLACEHOLDER)


def test_a_champion_that_was_approved_with_other_files_stops_the_execution(local: Path) -> None:
    run = f"{BUCKET}/run-{GROUP}-1"
    uri = f"{run}/serving/{ADAPTER_FOLDER}/"
    version = register(local, {"a": 1.0}, adapter_uri=uri, approved_manifest_sha256="ab" * 32)
    file = local_registry.home(local) / GROUP / "1" / "package.json"
    file.write_text(json.dumps(version | {"ModelApprovalStatus": "Approved"}))
    with pytest.raises(StepError, match=f"version 1 of {GROUP} was approved with other files than it is registered"):
        look_up(GROUP, PLACEHOLDER)


def test_a_champion_in_s3_is_held_against_its_manifest(client) -> None:
    s3, folder = boto3.client("s3"), "runs/5/Gate/serving"
    files = {f"{ADAPTER_FOLDER}/a": hashlib.sha256(b"{}").hexdigest()}
    manifest = json.dumps({"files": files, "sizes": {f"{ADAPTER_FOLDER}/a": 2}}).encode()
    for name, content in ((f"{ADAPTER_FOLDER}/a", b"{}"), ("manifest.json", manifest)):
        s3.put_object(Bucket="bucket", Key=f"{folder}/{name}", Body=content)
    digest = hashlib.sha256(manifest).hexdigest()
    known = {"adapter_uri": f"s3://bucket/{folder}/{ADAPTER_FOLDER}/", "adapter_manifest_sha256": digest}
    client.create_model_package_group(ModelPackageGroupName=GROUP)
    package(client, "Approved", facts(5) | known)
    assert look_up(GROUP, PLACEHOLDER)["found"] == "true"
    s3.put_object(Bucket="bucket", Key=f"{folder}/{ADAPTER_FOLDER}/a", Body=b"[]")  # of the same size
    with pytest.raises(StepError, match=f"serving/ {ADAPTER_FOLDER}/a has another content than the registered one"):
        look_up(GROUP, PLACEHOLDER)
    s3.delete_object(Bucket="bucket", Key=f"{folder}/manifest.json")
    with pytest.raises(StepError, match=r"serving/ manifest\.json is missing"):
        look_up(GROUP, PLACEHOLDER)


def test_a_reason_that_is_longer_than_an_argument_may_be_is_cut_in_the_file_and_whole_in_the_log(
    local: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The gate gets it as an argument, which CreateProcessingJob would refuse after the training is paid."""
    group = "dpo-" + "g" * 59  # the longest name of a group
    adapter = "s3://bucket/" + "a" * 240 + "end/"  # a package's metadata take 256 characters
    version = register(local, {"a": 1.0}, group=group, hashed=False, adapter_uri=adapter)
    local_registry.decide(local, version["ModelPackageArn"], "Approved", "")
    put = local_objects(local, monkeypatch)
    put("data/a.jsonl", "{}")
    output = local / "champion"
    main(["--group", group, "--placeholder", PLACEHOLDER, "--data", "s3://bucket/data/", "--output", str(output)])
    told = json.loads((output / "champion.json").read_text())["reason"]
    assert told.startswith(f"version 1 of {group} is approved, and its adapter is not there any more (s3://bucket/aa")
    assert told.endswith(" [cut; whole in the log of Champion]")
    assert value_problem(service().shape_for("ContainerArgument"), told) == ""
    assert adapter in capsys.readouterr().out


def test_what_training_starts_from_is_one_word_that_nothing_else_shares(
    local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = local_objects(local, monkeypatch)
    put("data/a.jsonl", "{}")

    def word(*origins: str) -> str:
        words = [word for origin in origins for word in ("--origin", origin)]
        common = ["--group", GROUP, "--placeholder", PLACEHOLDER, "--data", "s3://bucket/data/"]
        main([*common, *words, "--output", str(local / "out")])
        return json.loads((local / "out" / "champion.json").read_text())["origins_hash"]

    first = word("s3://bucket/models/base/", "s3://bucket/adapter/")
    assert first == word("s3://bucket/models/base/", "s3://bucket/adapter/") and re.fullmatch("[0-9a-f]{64}", first)
    others = [word("s3://bucket/models/base/"), word("a", "bc"), word("ab", "c"), word("c", "ab"), word()]
    assert len({first, *others}) == 6


def test_an_approved_version_that_does_not_say_where_its_adapter_lies_is_no_champion(local: Path) -> None:
    version = register(local, {"a": 1.0})
    local_registry.decide(local, version["ModelPackageArn"], "Approved", "")
    found = look_up(GROUP, PLACEHOLDER)
    assert (found["found"], found["version"], found["adapter_uri"]) == ("false", "1", PLACEHOLDER)
    assert found["reason"] == f"version 1 of {GROUP} was registered without adapter_uri"


def remote_objects(client: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="bucket")
    return lambda key, text: s3.put_object(Bucket="bucket", Key=key, Body=text.encode())


def local_objects(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv(objects.VARIABLE, str(folder))

    def put(key: str, text: str) -> None:
        path = folder / "bucket" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return put


@pytest.mark.parametrize("where", ["client", "tmp_path"])
def test_the_datas_state_changes_with_its_files_and_with_nothing_else(
    where: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    put = {"client": remote_objects, "tmp_path": local_objects}[where](request.getfixturevalue(where), monkeypatch)
    with pytest.raises(StepError, match=r"^s3://bucket/data/: there is no object; upload the data there"):
        objects.state(["s3://bucket/data/"])
    put("data/a.jsonl", "1")
    first = objects.state(["s3://bucket/data/"])
    put("database/b.jsonl", "1")
    assert objects.state(["s3://bucket/data/"]) == first
    assert objects.state(["s3://bucket/data"]) != first  # a prefix takes in its siblings, here as on AWS
    put("data/deep/b.jsonl", "1")
    added = objects.state(["s3://bucket/data/"])
    put("data/deep/b.jsonl", "22")
    assert len({first, added, objects.state(["s3://bucket/data/"])}) == 3
    assert objects.state(["s3://bucket/data/a.jsonl"]) == first
