"""trigger, triggers, untrigger: start the pipeline when data comes, and tell when a version is approved."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer
from rich.table import Table

from pipeline.automation import start as automation
from pipeline.automation import triggers as aws_triggers
from pipeline.commands.automation.schedules import deployed, shown
from pipeline.commands.shared.on_aws import remote
from pipeline.commands.shared.options import DEFAULT_SETTINGS, AsJson, Settings, print_json, say, stdout, where
from pipeline.commands.start import Assignments
from pipeline.errors import UserError
from pipeline.parameters.values import parse_assignments

OnNewData = Annotated[
    str | None,
    typer.Option(
        "--on-new-data",
        metavar="S3URI",
        help="Start the pipeline when objects arrive under this prefix, or feedback where it is collected.",
    ),
]
OnApproved = Annotated[
    str | None,
    typer.Option(
        "--on-model-approved",
        metavar="ARN",
        help="Tell an SNS topic, SQS queue, Lambda function, CodeBuild project or state machine.",
    ),
]
Quiet = Annotated[
    int, typer.Option("--quiet-minutes", help="Minutes without a new object after which one execution starts.")
]
TriggerName = Annotated[str, typer.Argument(help="The trigger's name, as `triggers` lists it.", show_default=False)]


def trigger(
    on_new_data: OnNewData = None,
    on_model_approved: OnApproved = None,
    quiet_minutes: Quiet = 15,
    assignments: Assignments = [],  # noqa: B006 (typer reads the default and never changes it)
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """Start the pipeline when uploads to a prefix have ended, or notify a target of yours of each approved version."""
    if (on_new_data is None) == (on_model_approved is None):
        raise UserError("give either --on-new-data s3://bucket/prefix/ or --on-model-approved ARN")
    overrides = parse_assignments(assignments)
    if on_model_approved and overrides:
        raise UserError("--set goes with --on-new-data; an approved version starts no execution")
    options, said = where(False, settings), ""
    with remote("trigger", settings, changes=True) as there:
        stands_on, events = automation.require(there.workflow, settings), there.client("events")
        if on_new_data:
            arn, parameters = deployed(there, automation.with_skip({"InputDataUri": on_new_data} | overrides))
            rule, target = aws_triggers.new_data(there.workflow, on_new_data, quiet_minutes, arn, parameters, stands_on)
            watched = aws_triggers.watched_by(there.workflow, on_new_data)
            for bucket in dict.fromkeys(map(aws_triggers.bucket_of, watched)):
                if aws_triggers.enable_events(there.client("s3"), bucket):
                    say(f"{bucket} now tells EventBridge of new objects")
            outcome, _ = aws_triggers.put(events, rule, target)
        else:
            rule, target = aws_triggers.approved(there.workflow, str(on_model_approved), stands_on)
            outcome, arn = aws_triggers.put(events, rule, target)
            said = aws_triggers.permission(str(on_model_approved), arn, stands_on)
    name = rule["Name"].removeprefix(automation.prefix(there.name))
    if as_json:
        print_json({"trigger": name, "outcome": outcome, "needs": said or None})
        return
    print(f"trigger {name} {outcome}; see all: python pipeline.py triggers{options}")
    if said:
        print(f"it reaches its target once this is allowed: {said}")


def triggers(settings: Settings = DEFAULT_SETTINGS, as_json: AsJson = False) -> None:
    """List the pipeline's triggers: what each waits for, and what it starts."""
    with remote("triggers", settings) as there:
        found = aws_triggers.list_triggers(there.client("events"), there.name)
    if as_json:
        print_json(found)
        return
    if not found:
        options = where(False, settings)
        print(f"no triggers yet; make one: python pipeline.py trigger{options} --on-new-data s3://bucket/prefix/")
        return
    table = Table("Trigger", "On", "State", box=None)
    for column in ("Target", "Parameters"):
        table.add_column(column, overflow="fold")
    for entry in found:
        table.add_row(entry.name, entry.on, entry.state, entry.target, shown(entry.parameters))
    stdout().print(table)


def untrigger(name: TriggerName, settings: Settings = DEFAULT_SETTINGS) -> None:
    """Delete a trigger and any start that it has planned; the bucket keeps sending events to EventBridge."""
    with remote(shlex.join(["untrigger", name]), settings, changes=True) as there:
        group = automation.require(there.workflow, settings).schedule_group
        clients = there.client("events"), there.client("scheduler")
        aws_triggers.remove(*clients, there.name, group, name, where(False, settings))
    print(f"trigger {name} deleted")
