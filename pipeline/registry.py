"""The versions of a model in SageMaker's model registry.

Is handed its client. Limits: reads; approving and comparing versions is not done here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class ModelVersion:
    """One version of a model package group."""

    version: int
    arn: str
    approval_status: str
    created: datetime
    metrics_uri: str | None = None  # the evaluation that the quality gate judged
    metadata: dict[str, str] = field(default_factory=dict)


def list_models(client: Any, group: str) -> list[ModelVersion]:
    """The versions of a group, newest first. One call a version: the list itself lacks metrics and metadata."""
    pages = client.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending"
    )
    arns = [package["ModelPackageArn"] for page in pages for package in page["ModelPackageSummaryList"]]
    versions = [_version(client.describe_model_package(ModelPackageName=arn)) for arn in arns]
    return sorted(versions, key=lambda version: version.version, reverse=True)


def _version(package: dict[str, Any]) -> ModelVersion:
    statistics = package.get("ModelMetrics", {}).get("ModelQuality", {}).get("Statistics", {})
    return ModelVersion(
        version=package["ModelPackageVersion"],
        arn=package["ModelPackageArn"],
        approval_status=package.get("ModelApprovalStatus", "PendingManualApproval"),
        created=package["CreationTime"],
        metrics_uri=statistics.get("S3Uri"),
        metadata=package.get("CustomerMetadataProperties", {}),
    )
