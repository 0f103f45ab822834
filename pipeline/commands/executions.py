"""status, list, logs, stop, retry: look after executions, on AWS or on this machine."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer
from rich.table import Table

from pipeline import executions as aws_executions
from pipeline.commands.options import (
    DEFAULT_SETTINGS,
    LOCAL_ROOT,
    AsJson,
    Execution,
    Local,
    LocalRoot,
    Settings,
    moment,
    print_json,
    stderr,
    stdout,
    where,
)
from pipeline.commands.remote import remote
from pipeline.errors import UserError
from pipeline.executions import ExecutionSummary, StepSummary

StepName = Annotated[str | None, typer.Option("--step", help="Step name; without it the failed or the last one.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on until the execution has ended.")]


def status(
    execution: Execution = None,
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """Show an execution and the steps that it has reached."""
    if local:
        from pipeline.local import runs

        record = runs.find(local_root, execution)
        summary, steps = runs.summary(record), runs.steps(record)
    else:
        with remote("status", settings) as there:
            summary, steps = aws_executions.status(there.sagemaker, there.find(execution))
    if as_json:
        print_json({**dataclasses.asdict(summary), "steps": [dataclasses.asdict(step) for step in steps]})
        return
    _draw(summary, steps)
    if summary.status == "Failed":
        options = where(local, settings, local_root)
        print(f"See why: python pipeline.py logs{options} {summary.id}")


def list_executions(
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """List executions, newest first."""
    if local:
        from pipeline.local import executions, runs

        found = [runs.summary(record) for record in executions.load_all(local_root)]
    else:
        with remote("list", settings) as there:
            found = aws_executions.list_executions(there.sagemaker, there.name)
    if as_json:
        print_json(found)
        return
    if not found:
        print(f"no executions yet; start one: python pipeline.py start{where(local, settings, local_root)}")
        return
    table = Table("Execution", "Pipeline", "Status", "Started", "Ended", box=None)
    for entry in found:
        table.add_row(entry.id, entry.pipeline, entry.status, moment(entry.started), moment(entry.ended))
    stdout().print(table)


def logs(
    execution: Execution = None,
    step: StepName = None,
    follow: Follow = False,
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    settings: Settings = DEFAULT_SETTINGS,
) -> None:
    """Print the log of a step's job."""
    if local:
        from pipeline.local import runs

        for line in runs.log_lines(local_root, runs.find(local_root, execution), step, follow=follow):
            print(line)
        return
    if follow:
        raise UserError("--follow works with --local; on AWS use start --wait, or CloudWatch's live tail")
    with remote("logs", settings) as there:
        _, steps = aws_executions.status(there.sagemaker, there.find(execution))
        for line in aws_executions.logs(there.client("logs"), _chosen(steps, step)):
            print(f"{line.time.isoformat(timespec='seconds')} {line.message}")


def stop(
    execution: Execution = None,
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    settings: Settings = DEFAULT_SETTINGS,
) -> None:
    """Stop a running execution; `retry` goes on with it."""
    if local:
        from pipeline.local import executions, runs

        record = runs.find(local_root, execution)
        executions.stop(local_root, record.id)
        print(f"execution {record.id} is stopping")
        return
    with remote("stop", settings, changes=True) as there:
        arn = there.find(execution)
        aws_executions.stop(there.sagemaker, arn)
    print(f"execution {arn.rpartition('/')[2]} is stopping")


def retry(
    execution: Execution = None,
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    settings: Settings = DEFAULT_SETTINGS,
) -> None:
    """Go on with a failed or stopped execution from the step that failed, with the same parameters."""
    if local:
        from pipeline.local import run, runs, summary
        from pipeline.local.executor import run_execution
        from pipeline.local.progress import watch

        record = runs.find(local_root, execution)
        with watch(stderr) as listen:
            record = run_execution(local_root, record.id, listen)
        print(summary.text(summary.summarise(local_root, record)))
        raise typer.Exit(run.exit_code(record.status))
    with remote("retry", settings, changes=True) as there:
        arn = there.find(execution)
        aws_executions.retry(there.sagemaker, arn)
    options = where(False, settings)
    print(f"execution {arn.rpartition('/')[2]} goes on; watch it: python pipeline.py status{options}")


def _chosen(steps: list[StepSummary], name: str | None) -> StepSummary:
    if name is not None:
        for step in steps:
            if step.name == name:
                return step
        raise UserError(f"--step {name}: not among the steps reached: {', '.join(step.name for step in steps)}")
    jobs = [step for step in steps if step.job_name]
    failed = [step for step in jobs if step.status == "Failed"]
    if not jobs:
        raise UserError("no step has run a job yet; try again in a minute")
    return (failed or jobs)[-1]


def _draw(summary: ExecutionSummary, steps: list[StepSummary]) -> None:
    console = stdout()
    reason = f": {summary.failure_reason}" if summary.failure_reason else ""
    console.print(f"{summary.pipeline} {summary.id} {summary.status}{reason}", highlight=False, soft_wrap=True)
    table = Table("Step", "Type", "Status", "Started", "Ended", box=None)
    table.add_column("Outcome", overflow="fold")
    for step in steps:
        state = f"{step.status}, cached" if step.cached else step.status
        outcome = (step.failure_reason or step.output or "").splitlines()[:1]
        table.add_row(step.name, step.type, state, moment(step.started), moment(step.ended), *outcome)
    console.print(table)
