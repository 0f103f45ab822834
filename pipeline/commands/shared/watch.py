"""Watch an execution to its end, or run one of this machine to its end, and tell how it ended."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.aws import errors as aws
from pipeline.aws import executions as aws_executions
from pipeline.aws.executions import ExecutionSummary, StepSummary
from pipeline.commands.shared.on_aws import Remote
from pipeline.commands.shared.options import print_json, stderr
from pipeline.watching import view
from pipeline.watching import watch as watching

if TYPE_CHECKING:
    from pipeline.local.state.records import Execution


def watch_on_aws(there: Remote, arn: str, options: str) -> ExecutionSummary:
    """Watch an execution on AWS; whoever interrupts is told that it goes on.

    Raises:
        UserError: AWS refuses to be asked on; the message ends with the command that watches on.
    """
    execution_id = arn.rpartition("/")[2]
    again = f"python pipeline.py status{options} {execution_id} --wait"
    reports = watching.JobReports(there.sagemaker, there.client("logs"), there.client("cloudwatch"))
    try:
        with aws.translated(again), view.shown(stderr) as tell:
            return watching.wait(lambda: aws_executions.status(there.sagemaker, arn), tell, reports)
    except KeyboardInterrupt:
        stderr.print(
            f"execution {execution_id} goes on without being watched; watch it again: {again}\n"
            f"stop it: python pipeline.py stop{options} {execution_id}",
            highlight=False,
            soft_wrap=True,
        )
        raise


def watch_here(root: Path, execution_id: str) -> ExecutionSummary:
    """Watch an execution that another process on this machine runs."""
    from pipeline.local.state import as_on_aws, records

    def look() -> tuple[ExecutionSummary, list[StepSummary]]:
        record = records.load(root, execution_id)
        return as_on_aws.summary(record), as_on_aws.steps(record)

    with view.shown(stderr) as tell:
        reports = as_on_aws.reports(root, execution_id)
        return watching.wait(look, tell, reports, poll_seconds=as_on_aws.POLL_SECONDS, settle_seconds=0)


def run_here(root: Path, execution_id: str, as_json: bool) -> Execution:
    """Run an execution of this machine to its end, and print what came of it."""
    from pipeline.local import summary
    from pipeline.local.executor import run_execution
    from pipeline.local.progress import watch

    with watch(stderr) as listen:
        execution = run_execution(root, execution_id, listen)
    result = summary.summarise(root, execution)
    if as_json:
        print_json(result)
    else:
        print(summary.text(result))
    return execution


def ending(ended: ExecutionSummary, options: str) -> str:
    """How an execution ended, and what comes next where it did not succeed."""
    reason = f": {ended.failure_reason}{view.advice_on(ended.failure_reason)}" if ended.failure_reason else ""
    text = f"execution {ended.id} {ended.status}{reason}"
    if ended.status == "Succeeded":
        return text
    return (
        f"{text}\nsee why: python pipeline.py logs{options} {ended.id}\n"
        f"fix it and go on: python pipeline.py retry{options} {ended.id}"
    )
