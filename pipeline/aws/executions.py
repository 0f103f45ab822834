"""Executions on AWS: start, find, list, how one stands and with which parameters it ran, stop, retry.

Every function is handed its client and lets AWS's errors through (aws.translated makes them readable). Imports neither
boto3 nor the SageMaker SDK. Watching one is `watching`'s; the pipeline that is executed is `pipelines`'.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.errors import UserError

ENDED = ("Succeeded", "Failed", "Stopped", "CompletedWithFailures")
RUNNING = ("Executing", "Stopping")
EXIT_CODES = {"Succeeded": 0, "Stopped": 130}
STEP_TYPES = {"TrainingJob": "Training", "ProcessingJob": "Processing", "TransformJob": "Transform"}
DISPLAY_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
DISPLAY_NAME_LIMIT = 82
TOKEN_LENGTHS = range(32, 129)


@dataclass(frozen=True)
class ExecutionSummary:
    """One execution of a pipeline. A list of executions does not say when each ended.

    `name`: the display name that it was started with.
    """

    id: str
    arn: str
    pipeline: str
    status: str
    started: datetime | None = None
    ended: datetime | None = None
    failure_reason: str | None = None
    name: str | None = None


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
        check_display_name(display_name)
        request["PipelineExecutionDisplayName"] = display_name
    if client_request_token is not None:
        check_token(client_request_token)
        request["ClientRequestToken"] = client_request_token
    return client.start_pipeline_execution(**request)["PipelineExecutionArn"]


def check_display_name(name: str) -> None:
    """
    Raises:
        UserError: a display name that AWS does not take.
    """
    if len(name) > DISPLAY_NAME_LIMIT or not DISPLAY_NAME.fullmatch(name):
        rule = f"at most {DISPLAY_NAME_LIMIT} letters, digits and inner hyphens"
        raise UserError(f"display name {name!r}: must be {rule}")


def check_token(token: str) -> None:
    """
    Raises:
        UserError: an idempotency token that AWS does not take.
    """
    if len(token) not in TOKEN_LENGTHS:
        raise UserError(
            f"token: has {len(token)} characters, must have {TOKEN_LENGTHS[0]} to {TOKEN_LENGTHS[-1]}; make one once "
            "for a start and its repetitions: uuidgen"
        )


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
            name=entry.get("PipelineExecutionDisplayName") or None,
        )
        for entry in found
    ]


def find(client: Any, pipeline_name: str, execution: str | None = None, options: str = "") -> str:
    """The ARN of an execution that is named by its id or ARN, or of the newest one.

    Args:
        options: what the next command of a message needs to mean the same place.

    Raises:
        UserError: the pipeline has not been started yet.
    """
    if execution and execution.startswith("arn:"):
        return execution
    if execution:
        return f"{client.describe_pipeline(PipelineName=pipeline_name)['PipelineArn']}/execution/{execution}"
    newest = list_executions(client, pipeline_name, limit=1)
    if not newest:
        raise UserError(f"pipeline {pipeline_name} has no executions yet; start one: python pipeline.py start{options}")
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
        name=answer.get("PipelineExecutionDisplayName") or None,
    )
    pages = client.get_paginator("list_pipeline_execution_steps").paginate(
        PipelineExecutionArn=arn, SortOrder="Ascending"
    )
    return summary, [_step(entry) for page in pages for entry in page.get("PipelineExecutionSteps", [])]


def state(client: Any, arn: str) -> str:
    """How an execution stands, without its steps."""
    return client.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"]


def parameters(client: Any, arn: str) -> tuple[dict[str, str], dict[str, Any]]:
    """The values that an execution was started with, and the definition that it ran."""
    pages = client.get_paginator("list_pipeline_parameters_for_execution").paginate(PipelineExecutionArn=arn)
    given = {entry["Name"]: entry["Value"] for page in pages for entry in page.get("PipelineParameters", [])}
    return given, definition(client, arn)


def definition(client: Any, arn: str) -> dict[str, Any]:
    """The definition that an execution runs."""
    answer = client.describe_pipeline_definition_for_execution(PipelineExecutionArn=arn)
    return json.loads(answer["PipelineDefinition"])


def exit_code(status: str) -> int:
    """The exit code that tells an execution's outcome: 0 when it succeeded, 130 when it was stopped, 1 otherwise."""
    return EXIT_CODES.get(status, 1)


def stop(client: Any, arn: str) -> None:
    """Ask an execution to stop; its running job is stopped too, which takes a few minutes."""
    client.stop_pipeline_execution(PipelineExecutionArn=arn)


def retry(client: Any, arn: str) -> None:
    """Continue a failed or stopped execution from the step that failed, with the same parameters."""
    client.retry_pipeline_execution(PipelineExecutionArn=arn)


def id_of(execution: str) -> str:
    """The id of an execution that is named by its ARN, or by its id already."""
    return execution.rpartition("/")[2]


def _execution(arn: str, state: str, **more: Any) -> ExecutionSummary:
    head, _, execution_id = arn.rpartition("/execution/")
    return ExecutionSummary(execution_id, arn, head.rpartition("pipeline/")[2], state, **more)


def _step(entry: dict[str, Any]) -> StepSummary:
    metadata: Mapping[str, Mapping[str, str]] = entry.get("Metadata", {})  # of one entry: the kind of step
    kind = next(iter(metadata), "")
    details = metadata.get(kind, {})
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
