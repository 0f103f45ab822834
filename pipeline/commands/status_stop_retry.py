"""status, list, stop, retry: look after executions, on AWS or on this machine."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pipeline.aws import executions as aws_executions
from pipeline.aws.executions import ExecutionSummary, StepSummary
from pipeline.commands.shared.on_aws import remote
from pipeline.commands.shared.options import (
    DEFAULT_SETTINGS,
    LOCAL_ROOT,
    AsJson,
    Execution,
    Local,
    LocalRoot,
    Settings,
    print_json,
    stdout,
    where,
)
from pipeline.commands.shared.watch import run_here, watch_here, watch_on_aws
from pipeline.texts import moment
from pipeline.watching.view import advice_on

Wait = Annotated[
    bool,
    typer.Option("--wait", help="Watch on until it has ended, as start --wait does; the exit code says how it ended."),
]


def status(
    execution: Execution = None,
    wait: Wait = False,
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """Show an execution and the steps that it has reached."""
    options = where(local, settings, local_root)
    if local:
        from pipeline.local.state import as_on_aws, records

        record = as_on_aws.find(local_root, execution)
        if wait:
            watch_here(local_root, record.id)
            record = records.load(local_root, record.id)
        summary, steps = as_on_aws.summary(record), as_on_aws.steps(record)
    else:
        words = f"{f' {execution}' if execution else ''}{' --wait' if wait else ''}"
        with remote(f"status{words}", settings) as there:
            arn = there.find(execution)
            if wait:
                watch_on_aws(there, arn, options)
            summary, steps = aws_executions.status(there.sagemaker, arn)
    if as_json:
        print_json({**dataclasses.asdict(summary), "steps": [dataclasses.asdict(step) for step in steps]})
    else:
        _draw(summary, steps)
        if summary.status == "Failed":
            print(f"See why: python pipeline.py logs{options} {summary.id}")
    if wait:
        raise typer.Exit(aws_executions.exit_code(summary.status))


def list_executions(
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """List executions, newest first."""
    if local:
        from pipeline.local.state import as_on_aws, records

        found = [as_on_aws.summary(record) for record in records.load_all(local_root)]
    else:
        with remote("list", settings) as there:
            found = aws_executions.list_executions(there.sagemaker, there.name)
    if as_json:
        print_json(found)
        return
    if not found:
        print(f"no executions yet; start one: python pipeline.py start{where(local, settings, local_root)}")
        return
    table = Table("Execution", "Name", "Pipeline", "Status", "Started", "Ended", box=None)
    for entry in found:
        times = moment(entry.started), moment(entry.ended)
        table.add_row(entry.id, entry.name or "", entry.pipeline, entry.status, *times)
    stdout().print(table)


def stop(
    execution: Execution = None,
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """Stop a running execution; `retry` continues it."""
    options = where(local, settings, local_root)
    if local:
        from pipeline.local.state import as_on_aws, records

        found = as_on_aws.find(local_root, execution).id
        records.stop(local_root, found)
    else:
        with remote(f"stop {execution}" if execution else "stop", settings, changes=True) as there:
            arn = there.find(execution)
            aws_executions.stop(there.sagemaker, arn)
        found = arn.rpartition("/")[2]
    if as_json:
        print_json({"execution": found, "status": "Stopping"})
    else:
        print(f"execution {found} is stopping; go on with it later: python pipeline.py retry{options} {found}")


def retry(
    execution: Execution = None,
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """Continue a failed or stopped execution from the step that failed, with the same parameters."""
    if local:
        from pipeline.local.state import as_on_aws

        ended = run_here(local_root, as_on_aws.find(local_root, execution).id, as_json)
        raise typer.Exit(aws_executions.exit_code(ended.status))
    with remote(f"retry {execution}" if execution else "retry", settings, changes=True) as there:
        arn = there.find(execution)
        aws_executions.retry(there.sagemaker, arn)
    found = arn.rpartition("/")[2]
    if as_json:
        print_json({"execution": found, "status": "Executing"})
    else:
        options = where(False, settings)
        print(f"execution {found} goes on; watch it: python pipeline.py status{options} {found} --wait")


def _draw(summary: ExecutionSummary, steps: list[StepSummary]) -> None:
    console = stdout()
    name = f" ({summary.name})" if summary.name else ""
    reason = f": {summary.failure_reason}{advice_on(summary.failure_reason)}" if summary.failure_reason else ""
    title = f"{summary.pipeline} {summary.id}{name} {summary.status}{reason}"
    console.print(title, highlight=False, markup=False, soft_wrap=True)
    table = Table("Step", "Type", "Status", "Started", "Ended", box=None)
    table.add_column("Outcome", overflow="fold")
    for step in steps:
        state = f"{step.status}, cached" if step.cached else step.status
        outcome = (step.failure_reason or step.output or "").splitlines()[:1]
        table.add_row(step.name, step.type, state, moment(step.started), moment(step.ended), *map(escape, outcome))
    console.print(table)
