"""This machine's executions and models in the same terms as AWS's, so that commands read both alike."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from pipeline.aws.executions import ExecutionSummary, StepSummary
from pipeline.errors import UserError
from pipeline.local.state import model_packages, records
from pipeline.local.state.records import Execution, StepRecord
from pipeline.versions.registry import ModelVersion, version_of, with_champions
from pipeline.watching.watch import Progress, Reports, Tell

POLL_SECONDS = 0.5


def find(root: Path, execution_id: str | None) -> Execution:
    """An execution by its id, or the newest one."""
    return records.load(root, execution_id) if execution_id else records.newest(root)


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
    """The steps that were reached; those of a branch not taken are left out, as on AWS."""
    return [_step(step) for step in execution.steps if step.status not in ("Pending", "Skipped")]


def _step(step: StepRecord) -> StepSummary:
    output = step.properties.get("ModelPackageArn") or step.properties.get("Outcome")
    job = step.properties.get("TrainingJobName") or step.properties.get("ProcessingJobName")
    return StepSummary(
        step.name, step.type, step.status, step.started, step.ended, step.failure_reason, step.cached, job, output
    )


def log_file(execution: Execution, step: str | None) -> Path:
    """The log of a step; without a name that of the failed one, otherwise of the last one that has a log.

    Raises:
        UserError: there is no such step, or it has no log.
    """
    if step is not None:
        record = execution.step(step)
        if record.log is None:
            raise UserError(f"step {record.name} has no log: {record.type}, {record.status}")
        return Path(record.log)
    logged = [record for record in execution.steps if record.log]
    failed = [record for record in logged if record.status == "Failed"]
    if not logged:
        raise UserError(f"execution {execution.id} has no logs yet")
    return Path((failed or logged)[-1].log or "")


def log_lines(root: Path, execution: Execution, step: str | None, *, follow: bool) -> Iterator[str]:
    """The lines of a step's log; `follow`: go on until its job has ended."""
    path = log_file(execution, step)
    with open(path, encoding="utf-8", errors="replace") as file:
        while True:
            ended = not _writes(records.load(root, execution.id), path)
            while line := file.readline():
                yield line.rstrip("\n")
            if ended or not follow:
                return
            time.sleep(POLL_SECONDS)


def _writes(execution: Execution, log: Path) -> bool:
    """Whether a step that runs now writes that log."""
    running = ("Starting", "Executing")
    return any(record.log == str(log) and record.status in running for record in execution.steps)


def reports(root: Path, execution_id: str) -> Reports:
    """What the steps' jobs report of themselves, for `watching`."""
    told: dict[str, dict[str, float]] = {}

    def report(step: StepSummary, tell: Tell) -> None:
        metrics = records.load(root, execution_id).step(step.name).metrics
        if metrics and told.get(step.name) != metrics:
            told[step.name] = metrics
            tell(Progress(step.name, "", metrics))

    return report


def models(root: Path, group: str | None = None) -> list[ModelVersion]:
    """The registered versions, newest first."""
    return with_champions(version_of(package) for package in model_packages.list_models(root, group))


def root_in_use(root: Path) -> Path:
    """The folder of the local state, made when it is not there.

    Raises:
        UserError: it cannot be written to.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--local-root {root}: cannot be made: {error.strerror}") from None
    if not os.access(root, os.W_OK):
        raise UserError(f"--local-root {root}: cannot be written to")
    return root.resolve()
