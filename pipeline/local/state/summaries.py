"""An execution of this machine in the terms of AWS's, so that commands and the live view read both alike."""

from __future__ import annotations

from pipeline.aws.executions import ExecutionSummary, StepSummary
from pipeline.local.state.records import Execution, StepRecord

UNREACHED = ("Pending", "Skipped")


def summary(execution: Execution) -> ExecutionSummary:
    return ExecutionSummary(
        execution.id,
        execution.arn,
        execution.pipeline_name,
        execution.status,
        execution.created,
        execution.ended,
        execution.failure_reason,
        execution.display_name,
    )


def steps(execution: Execution) -> list[StepSummary]:
    """All steps in running order, those that are not reached included."""
    return [_step(step) for step in execution.steps]


def reached(execution: Execution) -> list[StepSummary]:
    """The steps that were reached; those of a branch not taken are left out, as on AWS."""
    return [step for step in steps(execution) if step.status not in UNREACHED]


def unreached(execution: Execution) -> list[StepSummary]:
    """All others."""
    return [step for step in steps(execution) if step.status in UNREACHED]


def _step(step: StepRecord) -> StepSummary:
    output = step.properties.get("ModelPackageArn") or step.properties.get("Outcome")
    job = step.properties.get("TrainingJobName") or step.properties.get("ProcessingJobName")
    return StepSummary(
        step.name, step.type, step.status, step.started, step.ended, step.failure_reason, step.cached, job, output
    )
