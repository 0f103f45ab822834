"""The versions of a model in SageMaker's model registry: list them, find one, approve or reject it.

Is handed its client. What a version is, and which one a name means, is told here for the local registry too. Limits:
one group at a time, in the credentials' own account.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from pipeline.errors import UserError, did_you_mean
from steps.shared.served_files import OF_APPROVAL, OF_MODEL

APPROVED = "Approved"
Decision = Literal["Approved", "Rejected"]
NOTE_LIMIT = 1024  # characters that ApprovalDescription takes
SHOWN = 20  # versions that a message lists
WORDS = ("latest", "approved")  # what names a version besides its number


@dataclass(frozen=True)
class Options:
    """What the next command of a message needs to mean the same versions, as words with a space before.

    Attributes:
        place: for every command.
        group: for those of the registry.
    """

    place: str = ""
    group: str = ""

    def __str__(self) -> str:
        return self.place + self.group


@dataclass(frozen=True)
class ModelVersion:
    """One version of a model package group.

    Attributes:
        note: what was said when it was approved or rejected.
        changed, changed_by: when it was last changed, and by whom, which is when and who decided; None before.
        champion: it is the newest approved version of its group, which is what production deploys.
        metrics_uri: the evaluation that the quality gate judged.
        model_uri: the prefix of the model's files, or of the adapter's.
        instance_types: what may serve it.
    """

    group: str
    version: int
    arn: str
    approval_status: str
    created: datetime
    note: str | None = None
    changed: datetime | None = None
    changed_by: str | None = None
    champion: bool = False
    metrics_uri: str | None = None
    model_uri: str | None = None
    image: str | None = None
    instance_types: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def variant(self) -> str | None:
        """`merged` (a model of its own) or `adapter` (goes with its base); None where nobody said."""
        return self.metadata.get("variant")


def list_models(client: Any, group: str) -> list[ModelVersion]:
    """The versions of a group, newest first. One call a version: the list itself lacks metrics and metadata."""
    arns = [package["ModelPackageArn"] for package in _packages(client, group)]
    versions = [version_of(client.describe_model_package(ModelPackageName=arn)) for arn in arns]
    return with_champions(sorted(versions, key=lambda version: version.version, reverse=True))


def statuses(client: Any, group: str) -> dict[int, str]:
    """The approval status of each version of a group, by its number."""
    return {package["ModelPackageVersion"]: package["ModelApprovalStatus"] for package in _packages(client, group)}


def find(client: Any, group: str, name: str, options: Options) -> ModelVersion:
    """The version that a name means, as `choose` reads it.

    Raises:
        UserError: there is no such version.
    """
    packages = {package["ModelPackageVersion"]: package for package in _packages(client, group)}
    found = {number: package["ModelApprovalStatus"] for number, package in packages.items()}
    number = choose(name, found, group, options)
    version = version_of(client.describe_model_package(ModelPackageName=packages[number]["ModelPackageArn"]))
    return replace(version, champion=number == champion(found))


def decide(client: Any, version: ModelVersion, decision: Decision, note: str) -> None:
    """Approve or reject a version; the note replaces an earlier one, an empty one included.

    An approval is of the files that the version is registered with: it records the hash of their manifest. All of the
    metadata is sent: the API does not say whether it replaces them.
    """
    client.update_model_package(
        ModelPackageArn=version.arn,
        ModelApprovalStatus=decision,
        ApprovalDescription=checked_note(note),
        CustomerMetadataProperties=decided(version.metadata, decision),
        **({"CustomerMetadataPropertiesToRemove": [OF_APPROVAL]} if decision != APPROVED else {}),
    )


def decided(metadata: Mapping[str, str], decision: Decision) -> dict[str, str]:
    """A version's metadata after a decision."""
    kept = {name: value for name, value in metadata.items() if name != OF_APPROVAL}
    return kept | {OF_APPROVAL: kept[OF_MODEL]} if decision == APPROVED and OF_MODEL in kept else kept


def checked_note(note: str) -> str:
    """
    Raises:
        UserError: the registry does not take such a text.
    """
    if len(note) > NOTE_LIMIT or "\n" in note:
        raise UserError(f"--note: must be one line of at most {NOTE_LIMIT} characters, this one has {len(note)}")
    return note


def choose(name: str, statuses: Mapping[int, str], group: str, options: Options) -> int:
    """The number of the version that a name means: a number, `latest`, or `approved` for the newest that is approved.

    Raises:
        UserError: there is no such version; the error lists those that there are.
    """
    if not statuses:
        raise UserError(
            f"{group}: no version is registered; start a run: python pipeline.py start{options.place} --wait"
        )
    if name == "latest":
        return max(statuses)
    if name == "approved":
        number = champion(statuses)
        if number is not None:
            return number
        there = f"no version is approved; approve one: python pipeline.py approve {max(statuses)}{options}"
        raise UserError(f"{group}: {there}")
    if name.isdecimal() and int(name) in statuses:
        return int(name)
    near = did_you_mean(name, WORDS).removesuffix("?")
    newest = sorted(statuses, reverse=True)
    named = ", ".join(f"{number} ({statuses[number]})" for number in newest[:SHOWN])
    more = f" and {len(newest) - SHOWN} older ones" if len(newest) > SHOWN else ""
    raise UserError(
        f"{group}: there is no version {name!r}{near}; there are {named}{more}. "
        f"Name one, or latest, or approved; see them: python pipeline.py models{options}"
    )


def champion(statuses: Mapping[int, str]) -> int | None:
    """The newest approved version's number."""
    return max((number for number, status in statuses.items() if status == APPROVED), default=None)


def with_champions(versions: Iterable[ModelVersion]) -> list[ModelVersion]:
    """The versions with the champion of each group marked."""
    versions = list(versions)
    groups: dict[str, dict[int, str]] = {}
    for version in versions:
        groups.setdefault(version.group, {})[version.version] = version.approval_status
    champions = {group: champion(statuses) for group, statuses in groups.items()}
    return [replace(version, champion=version.version == champions[version.group]) for version in versions]


def version_of(package: Mapping[str, Any]) -> ModelVersion:
    """A version from DescribeModelPackage's answer, whose times may be ISO 8601 texts."""
    specification = package.get("InferenceSpecification") or {}
    container: Mapping[str, Any] = next(iter(specification.get("Containers", [])), {})
    source = container.get("ModelDataSource", {}).get("S3DataSource", {})
    changed_by = package.get("LastModifiedBy") or {}
    return ModelVersion(
        group=package["ModelPackageGroupName"],
        version=package["ModelPackageVersion"],
        arn=package["ModelPackageArn"],
        approval_status=package.get("ModelApprovalStatus", "PendingManualApproval"),
        created=_time(package["CreationTime"]),
        note=package.get("ApprovalDescription") or None,
        changed=_time(package.get("LastModifiedTime")),
        changed_by=changed_by.get("UserProfileName") or changed_by.get("IamIdentity", {}).get("Arn"),
        metrics_uri=package.get("ModelMetrics", {}).get("ModelQuality", {}).get("Statistics", {}).get("S3Uri"),
        model_uri=source.get("S3Uri") or container.get("ModelDataUrl"),
        image=container.get("Image"),
        instance_types=tuple(specification.get("SupportedRealtimeInferenceInstanceTypes", ())),
        metadata=package.get("CustomerMetadataProperties") or {},
    )


def _packages(client: Any, group: str) -> list[dict[str, Any]]:
    pages = client.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending"
    )
    return [package for page in pages for package in page["ModelPackageSummaryList"]]


def _time(value: datetime | str | None) -> Any:
    return datetime.fromisoformat(value) if isinstance(value, str) else value
