"""The pipeline itself on AWS: what is deployed, what an upsert would change in it, create, update, delete.

Every function is handed its clients and lets AWS's errors through (`errors.translated` makes them readable). Limits: a
long definition travels through S3, and AWS gives its text back; what AWS itself allows in length is for `check`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.aws.errors import described
from pipeline.definition.diff import Change, compare
from pipeline.settings.content import KEY_LENGTH, split_uri
from pipeline.settings.workflow import Workflow, tag_list
from pipeline.step_kit import network_and_keys

# From here on the SDK sends a definition through S3 too. The API model allows ten times as much in the request.
INLINE_LIMIT = 100 * 1024  # bytes


@dataclass(frozen=True)
class Wanted:
    """What an upsert wants to be deployed.

    Attributes:
        definition: the rendered JSON text.
        description: None leaves the one that is there.
        tags: tags that were put on the pipeline elsewhere stay.
        max_parallel_steps: None leaves what is there.
        definitions_uri: the prefix for definitions that are too long for the request.
        encryption: what S3 is told of the encryption of such a definition.
    """

    name: str
    definition: str
    role_arn: str
    definitions_uri: str
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    max_parallel_steps: int | None = None
    encryption: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Deployed:
    """The pipeline as it is deployed."""

    arn: str
    definition: dict[str, Any]
    role_arn: str
    description: str
    tags: Mapping[str, str]
    max_parallel_steps: int | None


def wanted(workflow: Workflow, definition: str) -> Wanted:
    """What the settings want to be deployed.

    Args:
        definition: the workflow's, rendered.
    """
    settings = workflow.settings
    return Wanted(
        settings.pipeline_name,
        definition,
        workflow.account.role_arn,
        f"{workflow.account.inputs_uri}/definitions",
        settings.description or None,
        workflow.tags,
        settings.max_parallel_steps,
        network_and_keys.upload(workflow.account.security),
    )


def find(sagemaker: Any, name: str) -> Deployed | None:
    """What is deployed under that name; None where there is nothing."""
    found = described(lambda: sagemaker.describe_pipeline(PipelineName=name))
    if found is None:
        return None
    return Deployed(
        found["PipelineArn"],
        json.loads(found["PipelineDefinition"]),
        found["RoleArn"],
        found.get("PipelineDescription") or "",
        _tags(sagemaker, found["PipelineArn"]),
        (found.get("ParallelismConfiguration") or {}).get("MaxParallelExecutionSteps"),
    )


def changes(deployed: Deployed, wanted: Wanted) -> list[Change]:
    """What an upsert would change, by parameter and step, and in what stands around the definition."""
    around: dict[str, tuple[Any, Any]] = {"role": (deployed.role_arn, wanted.role_arn)}
    if wanted.description is not None:
        around["description"] = (deployed.description, wanted.description)
    if wanted.max_parallel_steps is not None:
        around["max_parallel_steps"] = (deployed.max_parallel_steps, wanted.max_parallel_steps)
    if wanted.tags:
        here = {key: deployed.tags[key] for key in wanted.tags if key in deployed.tags}
        around["tags"] = (here, dict(wanted.tags))
    return compare(deployed.definition, json.loads(wanted.definition), around)


def create(sagemaker: Any, s3: Any, wanted: Wanted) -> None:
    """Create the pipeline."""
    sagemaker.create_pipeline(PipelineName=wanted.name, **_request(s3, wanted), Tags=tag_list(wanted.tags))


def update(sagemaker: Any, s3: Any, deployed: Deployed, wanted: Wanted) -> None:
    """Bring what is deployed to what is wanted."""
    sagemaker.update_pipeline(PipelineName=wanted.name, **_request(s3, wanted))
    _add_tags(sagemaker, deployed.arn, deployed.tags, wanted.tags)


def delete(sagemaker: Any, name: str) -> None:
    """Delete the pipeline and with it the list of its executions; AWS refuses while one of them runs."""
    sagemaker.delete_pipeline(PipelineName=name)


def ensure_model_group(sagemaker: Any, group: str, tags: Mapping[str, str]) -> bool:
    """Create the model package group that versions are registered in, unless it is there; whether it was created.

    One that is there gets the tags that it lacks.
    """
    found = described(lambda: sagemaker.describe_model_package_group(ModelPackageGroupName=group))
    if found is None:
        sagemaker.create_model_package_group(ModelPackageGroupName=group, Tags=tag_list(tags))
    elif tags:
        arn = found["ModelPackageGroupArn"]
        _add_tags(sagemaker, arn, _tags(sagemaker, arn), tags)
    return found is None


def _request(s3: Any, wanted: Wanted) -> dict[str, Any]:
    request: dict[str, Any] = {**_definition(s3, wanted), "RoleArn": wanted.role_arn}
    if wanted.description is not None:
        request["PipelineDescription"] = wanted.description
    if wanted.max_parallel_steps is not None:
        request["ParallelismConfiguration"] = {"MaxParallelExecutionSteps": wanted.max_parallel_steps}
    return request


def _definition(s3: Any, wanted: Wanted) -> dict[str, Any]:
    """The definition as a request takes it: its text, or where the text has been put."""
    text = wanted.definition.encode()
    if len(text) <= INLINE_LIMIT:
        return {"PipelineDefinition": wanted.definition}
    key = hashlib.sha256(text).hexdigest()[:KEY_LENGTH]
    bucket, key = split_uri(f"{wanted.definitions_uri}/{key}/definition.json")
    s3.put_object(Bucket=bucket, Key=key, Body=text, ContentType="application/json", **wanted.encryption)
    return {"PipelineDefinitionS3Location": {"Bucket": bucket, "ObjectKey": key}}


def _tags(sagemaker: Any, arn: str) -> dict[str, str]:
    pages = sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn)
    return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}


def _add_tags(sagemaker: Any, arn: str, present: Mapping[str, str], tags: Mapping[str, str]) -> None:
    """Set the tags that a resource lacks or has with another value."""
    lacking = {key: value for key, value in tags.items() if present.get(key) != value}
    if lacking:
        sagemaker.add_tags(ResourceArn=arn, Tags=tag_list(lacking))
