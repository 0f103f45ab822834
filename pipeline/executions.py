"""Pipelines and their executions on AWS: upsert, start, watch, logs, stop, retry.

Every function is handed its client and lets AWS's errors through (aws.translated makes them readable). Imports neither
boto3 nor the SageMaker SDK. Limits: a definition travels inline, so at most 1,048,576 characters of it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pipeline.aws import described, is_missing
from pipeline.content import input_files
from pipeline.errors import UserError

ENDED = ("Succeeded", "Failed", "Stopped", "CompletedWithFailures")
POLL_SECONDS = 15
LOG_GROUPS = {"Training": "/aws/sagemaker/TrainingJobs", "Processing": "/aws/sagemaker/ProcessingJobs"}
STREAMS_LIMIT = 100  # streams that one FilterLogEvents call takes
STEP_TYPES = {"TrainingJob": "Training", "ProcessingJob": "Processing", "TransformJob": "Transform"}
DISPLAY_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
DISPLAY_NAME_LIMIT = 82
TOKEN_LENGTHS = range(32, 129)


@dataclass(frozen=True)
class ExecutionSummary:
    """One execution of a pipeline. A list of executions does not say when each ended."""

    id: str
    arn: str
    pipeline: str
    status: str
    started: datetime | None = None
    ended: datetime | None = None
    failure_reason: str | None = None


@dataclass(frozen=True)
class StepSummary:
    """One step that an execution has reached. `output`: the model package, the branch taken or the Fail message."""

    name: str
    type: str
    status: str
    started: datetime | None = None
    ended: datetime | None = None
    failure_reason: str | None = None
    cached: bool = False
    job_name: str | None = None
    output: str | None = None


@dataclass(frozen=True)
class LogLine:
    """One line of a job's log; the stream tells the node."""

    time: datetime
    stream: str
    message: str


Listener = Callable[[ExecutionSummary, list[StepSummary]], None]


def upsert(
    sagemaker: Any,
    definition_json: str,
    name: str,
    role_arn: str,
    tags: Mapping[str, str] | None = None,
    description: str | None = None,
) -> Literal["created", "updated", "unchanged"]:
    """Create the pipeline, or bring what is deployed to this definition, role, description and these tags.

    Tags that were put on the pipeline elsewhere stay.
    """
    wanted = {"PipelineDefinition": definition_json, "RoleArn": role_arn}
    if description is not None:
        wanted["PipelineDescription"] = description
    deployed = described(lambda: sagemaker.describe_pipeline(PipelineName=name))
    if deployed is None:
        sagemaker.create_pipeline(PipelineName=name, **wanted, Tags=_tag_list(tags))
        return "created"
    changed = any(deployed.get(key) != wanted[key] for key in wanted.keys() - {"PipelineDefinition"})
    if changed or json.loads(deployed["PipelineDefinition"]) != json.loads(definition_json):
        sagemaker.update_pipeline(PipelineName=name, **wanted)
        changed = True
    return "updated" if _add_tags(sagemaker, deployed["PipelineArn"], tags) or changed else "unchanged"


def ensure_model_group(sagemaker: Any, group: str, tags: Mapping[str, str] | None = None) -> bool:
    """Create the model package group that versions are registered in, unless it is there; whether it was created."""
    if described(lambda: sagemaker.describe_model_package_group(ModelPackageGroupName=group)) is not None:
        return False
    sagemaker.create_model_package_group(ModelPackageGroupName=group, Tags=_tag_list(tags))
    return True


def upload_assets(s3: Any, assets: Mapping[str, Path], encryption: Mapping[str, str] | None = None) -> list[str]:
    """Upload local files, and folders file by file, to their S3 URIs; returns the URIs that were not there yet.

    Keys are content-addressed: an object that exists has this content already and is not touched.

    Args:
        encryption: what S3 is told of the objects' encryption; without it the bucket's default holds.
    """
    uploaded = []
    for uri, path in sorted(assets.items()):
        for object_uri, file in _files(uri, Path(path)):
            bucket, _, key = object_uri.removeprefix("s3://").partition("/")
            if described(lambda where=(bucket, key): s3.head_object(Bucket=where[0], Key=where[1])) is None:
                # In parts where it is large; appears whole or not at all.
                s3.upload_file(str(file), bucket, key, ExtraArgs=dict(encryption or {}))
                uploaded.append(object_uri)
    return uploaded


def start(
    client: Any,
    pipeline_name: str,
    parameters: Mapping[str, str],
    display_name: str | None = None,
    client_request_token: str | None = None,
) -> str:
    """Start an execution and return its ARN. The same token again returns the same execution instead of a second one.

    Raises:
        UserError: the display name or the token is none that AWS takes.
    """
    request: dict[str, Any] = {
        "PipelineName": pipeline_name,
        "PipelineParameters": [{"Name": name, "Value": value} for name, value in parameters.items()],
    }
    if display_name is not None:
        if len(display_name) > DISPLAY_NAME_LIMIT or not DISPLAY_NAME.fullmatch(display_name):
            rule = f"at most {DISPLAY_NAME_LIMIT} letters, digits and inner hyphens"
            raise UserError(f"display name {display_name!r}: must be {rule}")
        request["PipelineExecutionDisplayName"] = display_name
    if client_request_token is not None:
        if len(client_request_token) not in TOKEN_LENGTHS:
            raise UserError(f"request token: has {len(client_request_token)} characters, must have 32 to 128")
        request["ClientRequestToken"] = client_request_token
    return client.start_pipeline_execution(**request)["PipelineExecutionArn"]


def list_executions(client: Any, pipeline_name: str, limit: int = 20) -> list[ExecutionSummary]:
    """The newest executions of a pipeline, newest first."""
    pages = client.get_paginator("list_pipeline_executions").paginate(
        PipelineName=pipeline_name,
        SortBy="CreationTime",
        SortOrder="Descending",
        PaginationConfig={"MaxItems": limit, "PageSize": min(limit, 100)},
    )
    found = [entry for page in pages for entry in page.get("PipelineExecutionSummaries", [])]
    return [
        _execution(
            entry["PipelineExecutionArn"],
            entry.get("PipelineExecutionStatus", ""),
            started=entry.get("StartTime"),
            failure_reason=entry.get("PipelineExecutionFailureReason") or None,
        )
        for entry in found
    ]


def find(client: Any, pipeline_name: str, execution: str | None = None) -> str:
    """The ARN of an execution that is named by its id or ARN, or of the newest one.

    Raises:
        UserError: the pipeline has not been started yet.
    """
    if execution and execution.startswith("arn:"):
        return execution
    if execution:
        return f"{client.describe_pipeline(PipelineName=pipeline_name)['PipelineArn']}/execution/{execution}"
    newest = list_executions(client, pipeline_name, limit=1)
    if not newest:
        raise UserError(f"pipeline {pipeline_name} has no executions yet; start one: python pipeline.py start")
    return newest[0].arn


def status(client: Any, arn: str) -> tuple[ExecutionSummary, list[StepSummary]]:
    """An execution and the steps that it has reached, in the order in which they began."""
    answer = client.describe_pipeline_execution(PipelineExecutionArn=arn)
    state = answer["PipelineExecutionStatus"]
    summary = _execution(
        arn,
        state,
        started=answer.get("CreationTime"),
        ended=answer.get("LastModifiedTime") if state in ENDED else None,
        failure_reason=answer.get("FailureReason") or None,
    )
    pages = client.get_paginator("list_pipeline_execution_steps").paginate(
        PipelineExecutionArn=arn, SortOrder="Ascending"
    )
    return summary, [_step(entry) for page in pages for entry in page.get("PipelineExecutionSteps", [])]


def wait(
    client: Any,
    arn: str,
    listen: Listener,
    poll_seconds: float = POLL_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> ExecutionSummary:
    """Watch an execution until it has ended; `listen` hears of the first state and of every change after it."""
    heard = None
    while True:
        summary, steps = status(client, arn)
        if (summary, steps) != heard:
            heard = (summary, steps)
            listen(summary, steps)
        if summary.status in ENDED:
            return summary
        sleep(poll_seconds)


def logs(logs_client: Any, step: StepSummary, since: datetime | None = None) -> Iterator[LogLine]:
    """The lines that a step's job has logged so far (or since a moment), of all of its nodes.

    A job that has not logged anything yet has no lines. A cached step has the log of the job that once ran for it.

    Raises:
        UserError: steps of this type run no job.
    """
    if step.type and step.type not in LOG_GROUPS:
        raise UserError(f"step {step.name}: a {step.type} step runs no job and has no log")
    if step.job_name is None:
        return
    group = LOG_GROUPS[step.type]
    request: dict[str, Any] = {"logGroupName": group}
    if since is not None:
        request["startTime"] = int(since.timestamp() * 1000)
    streams = _streams(logs_client, group, f"{step.job_name}/")  # without the "/", job-1 would also give job-10's log
    for first in range(0, len(streams), STREAMS_LIMIT):
        request["logStreamNames"] = streams[first : first + STREAMS_LIMIT]
        for page in logs_client.get_paginator("filter_log_events").paginate(**request):
            for event in page["events"]:
                moment = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
                yield LogLine(moment, event["logStreamName"], event["message"].rstrip("\n"))


def stop(client: Any, arn: str) -> None:
    """Ask an execution to stop; its running job is stopped too, which takes a few minutes."""
    client.stop_pipeline_execution(PipelineExecutionArn=arn)


def retry(client: Any, arn: str) -> None:
    """Go on with a failed or stopped execution from the step that failed, with the same parameters."""
    client.retry_pipeline_execution(PipelineExecutionArn=arn)


def _tag_list(tags: Mapping[str, str] | None) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted((tags or {}).items())]


def _add_tags(sagemaker: Any, arn: str, tags: Mapping[str, str] | None) -> bool:
    """Set the tags that the pipeline lacks or has with another value; whether there were any."""
    if not tags:
        return False
    pages = sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn)
    present = {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}
    lacking = {key: value for key, value in tags.items() if present.get(key) != value}
    if lacking:
        sagemaker.add_tags(ResourceArn=arn, Tags=_tag_list(lacking))
    return bool(lacking)


def _files(uri: str, path: Path) -> Iterator[tuple[str, Path]]:
    if path.is_file():
        yield uri, path
        return
    for name, file in input_files(path).items():
        yield f"{uri.rstrip('/')}/{name}", file


def _execution(arn: str, state: str, **more: Any) -> ExecutionSummary:
    head, _, execution_id = arn.rpartition("/execution/")
    return ExecutionSummary(execution_id, arn, head.rpartition("pipeline/")[2], state, **more)


def _step(entry: dict[str, Any]) -> StepSummary:
    kind, details = next(iter(entry.get("Metadata", {}).items()), ("", {}))
    arn = details.get("Arn")
    return StepSummary(
        name=entry["StepName"],
        type=STEP_TYPES.get(kind, kind),
        status=entry.get("StepStatus", ""),
        started=entry.get("StartTime"),
        ended=entry.get("EndTime"),
        failure_reason=entry.get("FailureReason") or None,
        cached="CacheHitResult" in entry,
        job_name=arn.rpartition("/")[2] if arn and kind in STEP_TYPES else None,
        output=details.get("Outcome") or details.get("ErrorMessage") or (None if kind in STEP_TYPES else arn),
    )


def _streams(logs_client: Any, group: str, prefix: str) -> list[str]:
    from botocore.exceptions import ClientError

    pages = logs_client.get_paginator("describe_log_streams").paginate(logGroupName=group, logStreamNamePrefix=prefix)
    try:
        return [stream["logStreamName"] for page in pages for stream in page["logStreams"]]
    except ClientError as error:
        if is_missing(error):  # the account has never run such a job: the group comes with the first one
            return []
        raise
