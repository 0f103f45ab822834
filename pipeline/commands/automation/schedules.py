"""schedule, schedules, unschedule: start the pipeline by the clock, with EventBridge Scheduler."""

from __future__ import annotations

import json
import shlex
from typing import Annotated, Any

import typer
from rich.table import Table

from pipeline.automation import expressions
from pipeline.automation import schedules as aws_schedules
from pipeline.automation import start as automation
from pipeline.commands.shared.on_aws import Remote, remote
from pipeline.commands.shared.options import DEFAULT_SETTINGS, AsJson, Settings, print_json, stdout, where
from pipeline.commands.start import Assignments, checked
from pipeline.commands.upsert import upload
from pipeline.errors import UserError
from pipeline.parameters.values import parse_assignments
from pipeline.texts import moment

Cron = Annotated[
    str | None,
    typer.Option("--cron", help="Six fields, such as '0 6 ? * MON *': minutes hours day month weekday year."),
]
Rate = Annotated[str | None, typer.Option("--rate", help="An interval, such as '7 days'.")]
Timezone = Annotated[str, typer.Option("--timezone", help="Time zone of --cron, such as Europe/Berlin.")]
Name = Annotated[str, typer.Option("--name", help="Name of the schedule; an existing one is changed.")]
Flexible = Annotated[
    int, typer.Option("--flexible-minutes", help="Start within so many minutes after the time; 0: on the minute.")
]
ScheduleName = Annotated[str, typer.Argument(help="The schedule's name, as `schedules` lists it.", show_default=False)]


def schedule(
    cron: Cron = None,
    rate: Rate = None,
    timezone: Timezone = "UTC",
    name: Name = "retrain",
    assignments: Assignments = [],  # noqa: B006 (typer reads the default and never changes it)
    flexible_minutes: Flexible = 15,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """Start the pipeline at set times; an execution without new data ends before training."""
    if cron is not None and rate is None:
        expression = expressions.cron(cron)
    elif rate is not None and cron is None:
        expression = expressions.rate(rate)
    else:
        raise UserError("give either --cron or --rate, such as --cron '0 6 ? * MON *' or --rate '7 days'")
    expressions.zone(timezone)
    overrides = automation.with_skip(parse_assignments(assignments))
    options = where(False, settings)
    with remote("schedule", settings, changes=True) as there:
        stands_on = automation.require(there.workflow, settings)
        arn, parameters = deployed(there, overrides)
        wanted = aws_schedules.request(
            there.name, name, expression, timezone, flexible_minutes, arn, parameters, stands_on
        )
        outcome = aws_schedules.put(there.client("scheduler"), wanted)
    if as_json:
        print_json({"schedule": name, "outcome": outcome, "expression": expression, "parameters": parameters})
    else:
        print(f"schedule {name} {outcome}: {expression} {timezone}; see all: python pipeline.py schedules{options}")


def deployed(there: Remote, overrides: dict[str, str]) -> tuple[str, dict[str, str]]:
    """The deployed pipeline's ARN, and the parameters as it takes them; what they name on this machine is uploaded.

    Raises:
        UserError: a parameter is unknown or out of range.
    """
    answer = there.sagemaker.describe_pipeline(PipelineName=there.name)
    parameters, assets = checked(there.workflow, json.loads(answer["PipelineDefinition"]), overrides)
    upload(there, assets)
    return answer["PipelineArn"], parameters


def schedules(settings: Settings = DEFAULT_SETTINGS, as_json: AsJson = False) -> None:
    """List the pipeline's schedules: when each starts next, and with which parameters."""
    with remote("schedules", settings) as there:
        group = automation.require(there.workflow, settings).schedule_group
        found = aws_schedules.list_schedules(there.client("scheduler"), there.name, group)
    if as_json:
        print_json(found)
        return
    if not found:
        print(f"no schedules yet; make one: python pipeline.py schedule{where(False, settings)} --rate '7 days'")
        return
    table = Table("Schedule", "When", "Time zone", "State", "Next", box=None)
    table.add_column("Parameters", overflow="fold")
    for entry in found:
        table.add_row(
            entry.name, entry.expression, entry.timezone, entry.state, moment(entry.next_run), shown(entry.parameters)
        )
    stdout().print(table)


def shown(parameters: dict[str, Any]) -> str:
    """Parameters as `--set` takes them."""
    return " ".join(f"{name}={value}" for name, value in parameters.items())


def unschedule(name: ScheduleName, settings: Settings = DEFAULT_SETTINGS) -> None:
    """Delete a schedule; executions that it has started go on."""
    with remote(shlex.join(["unschedule", name]), settings, changes=True) as there:
        group = automation.require(there.workflow, settings).schedule_group
        aws_schedules.remove(there.client("scheduler"), there.name, group, name, where(False, settings))
    print(f"schedule {name} deleted")
