"""The model registry's list, against moto."""

import boto3
from moto import mock_aws

from pipeline.registry import list_models

CONTAINER = {"Image": "image", "ModelDataUrl": "s3://dpo-bucket/model.tar.gz"}
METRICS = {"ContentType": "application/json", "S3Uri": "s3://dpo-bucket/decision/evaluation.json"}


def test_versions_come_newest_first_with_metrics_and_metadata(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("sagemaker", region_name="us-east-1")
        client.create_model_package_group(ModelPackageGroupName="dpo-models")
        client.create_model_package_group(ModelPackageGroupName="others")
        specification = {
            "Containers": [CONTAINER],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        }
        common = {"InferenceSpecification": specification, "ModelApprovalStatus": "PendingManualApproval"}
        client.create_model_package(ModelPackageGroupName="dpo-models", **common)
        client.create_model_package(ModelPackageGroupName="others", **common)
        client.create_model_package(
            ModelPackageGroupName="dpo-models",
            **{**common, "ModelApprovalStatus": "Approved"},
            ModelMetrics={"ModelQuality": {"Statistics": METRICS}},
            CustomerMetadataProperties={"data_hash": "8c1f"},
        )
        newest, first = list_models(client, "dpo-models")
    assert (newest.version, newest.approval_status) == (2, "Approved")
    assert newest.arn == "arn:aws:sagemaker:us-east-1:123456789012:model-package/dpo-models/2"
    assert newest.metrics_uri == "s3://dpo-bucket/decision/evaluation.json"
    assert newest.metadata == {"data_hash": "8c1f"}
    assert (first.version, first.approval_status, first.metrics_uri, first.metadata) == (
        1,
        "PendingManualApproval",
        None,
        {},
    )
    assert first.created <= newest.created
