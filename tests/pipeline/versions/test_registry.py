"""The model registry against moto: versions with their facts, approval, and what a version's name means."""

from __future__ import annotations

from types import SimpleNamespace

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from pipeline.commands.shared.model_registry import AwsRegistry
from pipeline.errors import UserError
from pipeline.versions import linked, registry
from pipeline.versions.registry import Options, choose
from steps.shared.served_files import OF_APPROVAL, OF_MODEL

SOURCE = {"S3Uri": "s3://dpo-bucket/model/", "S3DataType": "S3Prefix", "CompressionType": "None"}
SPECIFICATION = {
    "Containers": [{"Image": "image", "ModelDataSource": {"S3DataSource": SOURCE}}],
    "SupportedContentTypes": ["application/json"],
    "SupportedResponseMIMETypes": ["application/json"],
    "SupportedRealtimeInferenceInstanceTypes": ["ml.g5.2xlarge"],
}
METRICS = {"ContentType": "application/json", "S3Uri": "s3://dpo-bucket/decision/evaluation.json"}
ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/dpo-models"
OPTIONS = Options(" --settings x.yaml", " --group dpo")


@pytest.fixture
def client(monkeypatch):
    """A group with a version that waits, and an approved one."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("sagemaker", region_name="us-east-1")
        client.create_model_package_group(ModelPackageGroupName="dpo-models")
        client.create_model_package_group(ModelPackageGroupName="others")
        common = {"InferenceSpecification": SPECIFICATION, "ModelApprovalStatus": "PendingManualApproval"}
        client.create_model_package(ModelPackageGroupName="dpo-models", **common)
        client.create_model_package(ModelPackageGroupName="others", **common)
        client.create_model_package(
            ModelPackageGroupName="dpo-models",
            **{**common, "ModelApprovalStatus": "Approved"},
            ModelMetrics={"ModelQuality": {"Statistics": METRICS}},
            CustomerMetadataProperties={"data_hash": "8c1f", "variant": "merged"},
        )
        yield client


def test_versions_come_newest_first_with_metrics_and_metadata(client) -> None:
    newest, first = registry.list_models(client, "dpo-models")
    assert (newest.version, newest.approval_status, newest.champion) == (2, "Approved", True)
    assert newest.arn == f"{ARN}/2"
    assert (newest.metrics_uri, newest.model_uri) == (METRICS["S3Uri"], SOURCE["S3Uri"])
    assert (newest.image, newest.instance_types, newest.variant) == ("image", ("ml.g5.2xlarge",), "merged")
    assert newest.metadata == {"data_hash": "8c1f", "variant": "merged"}
    assert (first.version, first.approval_status, first.champion) == (1, "PendingManualApproval", False)
    assert (first.metrics_uri, first.metadata, first.note) == (None, {}, None)
    assert first.created <= newest.created


def test_a_version_is_approved_and_rejected_with_a_note(client) -> None:
    first = registry.find(client, "dpo-models", "1", OPTIONS)
    registry.decide(client, first, "Approved", "answers well")
    after = registry.find(client, "dpo-models", "1", OPTIONS)
    assert (after.approval_status, after.note, after.champion) == ("Approved", "answers well", False)
    assert after.changed >= first.created
    registry.decide(client, registry.find(client, "dpo-models", "approved", OPTIONS), "Rejected", "")
    assert registry.find(client, "dpo-models", "approved", OPTIONS).version == 1
    assert registry.statuses(client, "dpo-models") == {2: "Rejected", 1: "Approved"}
    assert registry.find(client, "others", "latest", OPTIONS).approval_status == "PendingManualApproval"


def test_the_request_clears_the_note_of_an_earlier_decision(client) -> None:
    version = registry.find(client, "dpo-models", "2", OPTIONS)
    wanted = {"ModelPackageArn": f"{ARN}/2", "ModelApprovalStatus": "Rejected", "ApprovalDescription": ""}
    wanted |= {"CustomerMetadataProperties": version.metadata, "CustomerMetadataPropertiesToRemove": [OF_APPROVAL]}
    with Stubber(client) as stub:
        stub.add_response("update_model_package", {"ModelPackageArn": f"{ARN}/2"}, wanted)
        registry.decide(client, version, "Rejected", "")
        with pytest.raises(UserError, match="--note: must be one line"):
            registry.decide(client, version, "Rejected", "two\nlines")


def test_an_approval_records_the_hash_of_the_files_and_a_rejection_takes_it_away() -> None:
    facts = {"variant": "merged", OF_MODEL: "ab" * 32}
    approved = registry.decided(facts, "Approved")
    assert approved == facts | {OF_APPROVAL: "ab" * 32}
    assert registry.decided(approved, "Rejected") == facts
    assert registry.decided(approved | {OF_MODEL: "cd" * 32}, "Approved")[OF_APPROVAL] == "cd" * 32
    assert registry.decided({"variant": "merged"}, "Approved") == {"variant": "merged"}


@pytest.mark.parametrize(("name", "number"), [("2", 2), ("latest", 12), ("approved", 9), ("09", 9)])
def test_a_name_means_one_version(name: str, number: int) -> None:
    statuses = {2: "Approved", 9: "Approved", 12: "Rejected"}
    assert choose(name, statuses, "dpo", OPTIONS) == number


def test_a_name_that_means_none_is_refused_with_the_next_command() -> None:
    with pytest.raises(UserError, match=r"run: python pipeline\.py start --settings x\.yaml --wait$"):
        choose("1", {}, "dpo", OPTIONS)
    with pytest.raises(UserError, match=r"python pipeline\.py approve 3 --settings x\.yaml --group dpo$"):
        choose("approved", {1: "Rejected", 3: "PendingManualApproval"}, "dpo", OPTIONS)
    many = dict.fromkeys(range(1, 31), "Rejected")
    with pytest.raises(UserError, match=r"there are 30 \(Rejected\), .*, 11 \(Rejected\) and 10 older ones\. Name one"):
        choose("99", many, "dpo", OPTIONS)


# In MLflow


def tracked_package(client, run: str, **facts: str) -> None:
    client.create_model_package(
        ModelPackageGroupName="dpo-models",
        InferenceSpecification=SPECIFICATION,
        ModelApprovalStatus="PendingManualApproval",
        CustomerMetadataProperties={"mlflow_run_id": run, "mlflow_uri": "https://mlflow.test", **facts},
    )


@pytest.fixture
def asked(monkeypatch) -> list[tuple[str, dict]]:
    """What MLflow would be told: address and group."""
    found: list[tuple[str, dict]] = []

    def ask(uri: str, group: dict) -> dict:
        found.append((uri, group))
        return {"runs": [1], "registered": {"3": "1"}, "champion": None, "problems": []}

    monkeypatch.setattr(linked, "_ask", ask)
    return found


def there(client, tmp_path) -> AwsRegistry:
    return AwsRegistry(SimpleNamespace(sagemaker=client, client=None), tmp_path, "dpo-models", OPTIONS)


def test_mlflow_is_told_of_a_version_with_its_files_on_s3_and_of_a_champion_that_it_does_not_have(
    client, asked, tmp_path
) -> None:
    tracked_package(client, "f" * 32, data_hash="8c1f", execution_arn="arn:x")
    found = there(client, tmp_path)
    said = found.link([found.find("3")])
    assert said == ["mlflow: dpo-models: version 3 is version 1 there; no champion"]
    ((uri, group),) = asked
    assert (uri, group["name"], group["champion"], group["registry"]) == ("https://mlflow.test", "dpo-models", 2, True)
    assert group["versions"] == [
        {
            "number": 3, "arn": f"{ARN}/3", "run_id": "f" * 32, "source": SOURCE["S3Uri"],
            "approval_status": "PendingManualApproval", "facts": {"data_hash": "8c1f", "execution_arn": "arn:x"},
        }
    ]  # fmt: skip


def test_only_the_version_that_an_execution_has_registered_is_told_at_its_end(client, asked, tmp_path) -> None:
    tracked_package(client, "f" * 32, execution_arn="arn:mine")
    assert there(client, tmp_path).link_of_execution("arn:mine") and len(asked) == 1
    assert there(client, tmp_path).link_of_execution("arn:another") == [] and len(asked) == 1
    empty = AwsRegistry(SimpleNamespace(sagemaker=client, client=None), tmp_path, "none", OPTIONS)
    client.create_model_package_group(ModelPackageGroupName="none")
    assert empty.link_of_execution("arn:mine") == []
