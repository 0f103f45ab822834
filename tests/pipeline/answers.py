"""SageMaker's answers about executions that moto does not give; botocore's Stubber holds them against the API model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.stub import Stubber

JOBS = "arn:aws:sagemaker:us-east-1:123456789012"
ARN = f"{JOBS}:pipeline/dpo/execution/abcdefghijkl"
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
STEPS = [
    {
        "StepName": "Preprocess",
        "StepStatus": "Succeeded",
        "StartTime": NOON,
        "EndTime": NOON,
        "CacheHitResult": {"SourcePipelineExecutionArn": ARN},
        "Metadata": {"ProcessingJob": {"Arn": f"{JOBS}:processing-job/pipelines-0-Preprocess"}},
    },
    {
        "StepName": "Train",
        "StepStatus": "Failed",
        "StartTime": NOON,
        "EndTime": NOON,
        "FailureReason": "ClientError: loss is not finite",
        "Metadata": {"TrainingJob": {"Arn": f"{JOBS}:training-job/pipelines-1-Train"}},
    },
    {"StepName": "CheckGate", "StepStatus": "Succeeded", "Metadata": {"Condition": {"Outcome": "True"}}},
    {
        "StepName": "RegisterAdapter",
        "StepStatus": "Succeeded",
        "Metadata": {"RegisterModel": {"Arn": f"{JOBS}:model-package/dpo-models/3"}},
    },
    {"StepName": "RejectModel", "StepStatus": "Starting"},
]


def add_status(
    stub: Stubber, state: str, *pages: list[dict[str, Any]], reason: str | None = None, arn: str = ARN
) -> None:
    """Let the stub answer one look at an execution: how it stands, and its steps page by page."""
    answer = {"PipelineExecutionStatus": state, "CreationTime": NOON, "LastModifiedTime": NOON + timedelta(hours=1)}
    answer |= {"FailureReason": reason} if reason else {}
    stub.add_response("describe_pipeline_execution", answer, {"PipelineExecutionArn": arn})
    for index, steps in enumerate(pages):
        request: dict[str, Any] = {"PipelineExecutionArn": arn, "SortOrder": "Ascending"}
        request |= {"NextToken": str(index)} if index else {}
        more = {"NextToken": str(index + 1)} if index + 1 < len(pages) else {}
        stub.add_response("list_pipeline_execution_steps", {"PipelineExecutionSteps": steps} | more, request)
