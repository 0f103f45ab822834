"""The CreateModelPackage request of a version: the one place that says what is registered.

The definition's step fills it with pipeline variables, and the job that registers in the step's place with their values
(`register_with` in the settings). Imports the standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Registration:
    """What is said of a version. `Any` is a text, or a pipeline variable that becomes one.

    Attributes:
        model_uri: the prefix of the folder that is served, with a slash at the end.
        environment: what the container needs to serve the model.
        instance_types: what may serve it.
        evaluation_uri: the held-out figures, a JSON file.
        report_uri: Preprocess's report, a JSON file.
        card: the model card's content, a JSON text.
        metadata: the facts that the commands and later executions read.
    """

    group: str
    description: str
    approval_status: Any
    image: str
    model_uri: Any
    environment: Mapping[str, Any]
    instance_types: Sequence[str]
    evaluation_uri: Any
    report_uri: Any
    card: Any
    metadata: Mapping[str, Any]


def package_request(version: Registration) -> dict[str, Any]:
    """The request, as the API takes it."""
    source = {"S3Uri": version.model_uri, "S3DataType": "S3Prefix", "CompressionType": "None"}
    container = {
        "Image": version.image,
        "ModelDataSource": {"S3DataSource": source},
        "Environment": dict(version.environment),
    }
    return {
        "ModelPackageGroupName": version.group,
        "ModelPackageDescription": version.description,
        "ModelApprovalStatus": version.approval_status,
        "InferenceSpecification": {
            "Containers": [container],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
            "SupportedRealtimeInferenceInstanceTypes": list(version.instance_types),
        },
        "ModelMetrics": {
            "ModelQuality": {"Statistics": _json_file(version.evaluation_uri)},
            "ModelDataQuality": {"Statistics": _json_file(version.report_uri)},
        },
        "ModelCard": {"ModelCardContent": version.card, "ModelCardStatus": "PendingReview"},
        "CustomerMetadataProperties": dict(version.metadata),
    }


def _json_file(uri: Any) -> dict[str, Any]:
    return {"ContentType": "application/json", "S3Uri": uri}
