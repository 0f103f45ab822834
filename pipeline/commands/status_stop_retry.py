"""status, list, stop, retry: look after executions, on AWS or on this machine."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pipeline.aws import executions as aws_executions
from pipeline.aws.errors import advice_on
from pipeline.aws.executions import ExecutionSummary, StepSummary, id_of
from pipeline.commands.shared.after_failure import next_commands
from pipeline.commands.shared.options import (
    DEFAULT_SETTINGS,
    LOCAL_ROOT,
    AsJson,
    Execution,
    Local,
    LocalRoot,
    Settings,
    page_of,
    print_json,
    stdout,
)
from pipeline.commands.shared.place import place_of
from pipeline.texts import moment, took

NOT_REACHED = ("Pending", "Skipped")
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
    with place_of(("status", execution, "--wait" if wait else None), local, local_root, settings) as place:
        named = place.find(execution)
        if wait:
            place.watch(named)
        summary, steps = place.status(named)
        rest = [] if as_json else place.unreached(summary, steps)
    if as_json:
        print_json({**dataclasses.asdict(summary), "steps": [dataclasses.asdict(step) for step in steps]})
    else:
        _draw(summary, [*steps, *rest])
        print(f"as a page: {page_of(summary.id, place.options)}")
        for line in next_commands(summary, steps, place.options):
            print(line)
    if wait:
        raise typer.Exit(aws_executions.exit_code(summary.status))


def list_executions(
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """List executions, newest first."""
    with place_of(("list",), local, local_root, settings) as place:
        found = place.newest()
    if as_json:
        print_json(found)
        return
    if not found:
        print(f"no executions yet; start one: python pipeline.py start{place.options}")
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
    with place_of(("stop", execution), local, local_root, settings, changes=True) as place:
        named = place.find(execution)
        place.stop(named)
    found = id_of(named)
    if as_json:
        print_json({"execution": found, "status": "Stopping"})
    else:
        print(f"execution {found} is stopping; go on with it later: python pipeline.py retry{place.options} {found}")


def retry(
    execution: Execution = None,
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """Continue a failed or stopped execution from the step that failed, with the same parameters."""
    with place_of(("retry", execution), local, local_root, settings, changes=True) as place:
        code = place.retry(place.find(execution), as_json)
    raise typer.Exit(code)


def _draw(summary: ExecutionSummary, steps: list[StepSummary]) -> None:
    console = stdout()
    name = f" ({summary.name})" if summary.name else ""
    reason = f": {summary.failure_reason}{advice_on(summary.failure_reason)}" if summary.failure_reason else ""
    time_taken = took(summary.started, summary.ended)
    lasts = f" {'in' if summary.ended else 'for'} {time_taken}" if time_taken else ""
    title = f"{summary.pipeline} {summary.id}{name} {summary.status}{lasts}{reason}"
    console.print(title, highlight=False, markup=False, soft_wrap=True)
    table = Table("Step", "Type", "Status", "Started", box=None)
    table.add_column("Took", justify="right", no_wrap=True)
    table.add_column("Outcome", overflow="fold")
    for step in steps:
        state = f"{step.status}, cached" if step.cached else step.status
        state = "Not reached" if step.status == "Pending" and summary.ended else state
        outcome = (step.failure_reason or step.output or "").splitlines()[:1]
        time_taken = "" if step.cached else took(step.started, step.ended)
        style = "dim" if step.status in NOT_REACHED else ""
        table.add_row(step.name, step.type, state, moment(step.started), time_taken, *map(escape, outcome), style=style)
    console.print(table)
