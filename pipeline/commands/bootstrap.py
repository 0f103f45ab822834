"""bootstrap, teardown: make what the pipelines need in an account, and remove it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.table import Table

from pipeline.account import log_groups, template
from pipeline.account import parameters as of_template
from pipeline.account import stack as infrastructure
from pipeline.account.outputs import account_values
from pipeline.automation import schedules, triggers
from pipeline.automation import start as automation
from pipeline.commands.shared.confirm import Yes, confirm
from pipeline.commands.shared.on_aws import Remote, remote
from pipeline.commands.shared.options import DEFAULT_SETTINGS, AsJson, Settings, print_json, say, stderr, where
from pipeline.commands.start import Assignments
from pipeline.errors import UserError
from pipeline.parameters.values import parse_assignments

STACK = "dpo-pipeline"
Stack = Annotated[str, typer.Option("--stack", help="The CloudFormation stack's name.")]


def bootstrap(
    assignments: Assignments = [],  # noqa: B006 (typer reads the default and never changes it)
    stack: Stack = STACK,
    yes: Yes = False,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """Make or update bucket, roles, repositories and queue in the account; shows the changes first."""
    overrides = parse_assignments(assignments)
    with remote("bootstrap", settings, changes=True) as there:
        cloudformation = there.client("cloudformation")
        change_set = infrastructure.create_change_set(
            cloudformation,
            stack,
            template.body(),
            _parameters(there, cloudformation, stack, overrides),
            there.workflow.account.tags,
            f"bootstrap-{uuid.uuid4().hex[:12]}",
        )
        if change_set is None:
            say(f"stack {stack} is up to date")
            values = infrastructure.outputs(infrastructure.find(cloudformation, stack) or {})
        else:
            _show(change_set)
            question = f"Make these changes in account {_account(there)}?"
            try:
                confirm(question, yes, f"python pipeline.py bootstrap{where(False, settings)}")
            except (UserError, typer.Abort):
                infrastructure.discard(cloudformation, change_set)
                raise
            values = infrastructure.execute(cloudformation, change_set, say)
        parameters = infrastructure.parameters(infrastructure.find(cloudformation, stack))
        account = account_values(there.workflow.account, values, parameters)
        if as_json:
            print_json({"stack": stack, "outputs": values, "account": account})
        else:
            print(yaml.safe_dump(account, sort_keys=False), end="")
            _compare(there, account, settings)
        _retain_logs(there, yes, settings)


def _parameters(there: Remote, cloudformation: Any, stack: str, overrides: Mapping[str, str]) -> dict[str, str]:
    """The template's parameters. The group that a first workflow named stays the stack's; the others' are upsert's."""
    group = there.workflow.settings.register_model.package_group
    known = infrastructure.parameters(infrastructure.find(cloudformation, stack))
    name = overrides.get("Name") or known.get("Name", "dpo")
    for what, text in (("pipeline_name", there.name), ("register.package_group", group)):
        if not text.startswith(f"{name}-"):
            raise UserError(
                f"{what}: {text}: the roles are allowed only names that start with {name}-; rename it, or give another "
                f"start: python pipeline.py bootstrap --set Name={text.partition('-')[0]}"
            )
    found = ({} if known else {"PackageGroup": group}) | of_template.of_account(there.workflow.account)
    if of_template.needs_prefix_list(known, overrides):
        found["S3PrefixList"] = of_template.prefix_list(there.client("ec2"), there.workflow.account.region)
    return found | dict(overrides)


def _retain_logs(there: Remote, yes: bool, settings: Path) -> None:
    """Let CloudWatch delete old lines of the jobs' logs, where the settings say after how many days."""
    days = there.workflow.account.log_retention_days
    if days is None:
        return
    logs = there.client("logs")
    groups = log_groups.without_retention(logs)
    if not groups:
        return
    say(f"log lines older than {days} days will be deleted, of all jobs of the account: {', '.join(groups)}")
    confirm(f"Set this in account {_account(there)}?", yes, f"python pipeline.py bootstrap{where(False, settings)}")
    log_groups.keep_for(logs, groups, days)


def _show(change_set: infrastructure.ChangeSet) -> None:
    title = f"{change_set.kind.lower()} stack {change_set.stack}"
    table = Table("Change", "Resource", "Type", "Replaces", title=title)
    for change in change_set.changes:
        replaces = "" if change.replaces == "False" else change.replaces
        table.add_row(change.action, change.resource, change.type, replaces)
    stderr.print(table)


def _account(there: Remote) -> str:
    return f"{there.workflow.account.account_id}, {there.workflow.account.region}"


def _compare(there: Remote, account: Mapping[str, Any], settings: Path) -> None:
    """Say what of it the account file has otherwise; the file is the user's and is not written."""
    present = there.workflow.account.model_dump()
    present["security"] = {key: present["security"][key] for key in account.get("security", {})}
    other = [key for key, value in account.items() if present[key] != value]
    file = settings.parent / there.workflow.settings.account
    if other:
        say(f"{file} says otherwise for {', '.join(other)}: put the lines above into it")
    else:
        say(f"{file} has these values; deploy: python pipeline.py upsert{where(False, settings)}")


def teardown(stack: Stack = STACK, yes: Yes = False, settings: Settings = DEFAULT_SETTINGS) -> None:
    """Remove the workflow's schedules and triggers, then the stack; keeps what holds data, and lists it."""
    with remote("teardown", settings, changes=True) as there:
        cloudformation = there.client("cloudformation")
        found = infrastructure.find(cloudformation, stack)
        if found is None:
            raise UserError(f"stack {stack}: there is none in {_account(there)}; name another one with --stack")
        kept = infrastructure.kept(cloudformation, stack)
        uses = _Uses(there, infrastructure.outputs(found))
        uses.refuse_others(stack)
        for line in uses.own():
            say(f"to be deleted: {line}")
        say(f"to be deleted: stack {stack} with its roles, queue, function and schedule group")
        for resource in kept:
            say(f"kept: {resource}")
        command = f"python pipeline.py teardown{where(False, settings)}"
        confirm(f"Delete this in account {_account(there)}?", yes, command)
        uses.remove(where(False, settings))
        infrastructure.delete(cloudformation, stack, say)
    print(f"stack {stack} deleted")
    for resource, command in kept.items():
        print(f"kept {resource}; to remove it: {command}")


class _Uses:
    """The schedules and triggers that stand on a stack: the workflow's own and other ones."""

    def __init__(self, there: Remote, values: Mapping[str, str]) -> None:
        self._name = there.name
        self._scheduler, self._events = there.client("scheduler"), there.client("events")
        self._group, self._function = values.get("ScheduleGroupName", ""), values.get("DebounceFunctionArn", "")

    def refuse_others(self, stack: str) -> None:
        """
        Raises:
            UserError: something of another pipeline would stop to work.
        """
        own = automation.prefix(self._name)
        names = schedules.names(self._scheduler, self._group) if self._group else []
        if self._function:
            names += triggers.rules_of(self._events, self._function)
        others = sorted({name for name in names if not name.startswith(own)})
        if others:
            raise UserError(
                f"stack {stack}: other pipelines' schedules or triggers stand on it: {', '.join(others)}; delete them "
                "first: python pipeline.py unschedule NAME, or untrigger NAME, with --settings of their workflow"
            )

    def own(self) -> list[str]:
        return [*(f"trigger {name}" for name in self._triggers()), *(f"schedule {name}" for name in self._schedules())]

    def remove(self, options: str) -> None:
        """Triggers first: one of them could plan a start meanwhile."""
        for name in self._triggers():
            triggers.remove(self._events, self._scheduler, self._name, self._group, name, options)
        for name in self._schedules():
            schedules.remove(self._scheduler, self._name, self._group, name, options)

    def _triggers(self) -> list[str]:
        return [entry.name for entry in triggers.list_triggers(self._events, self._name)]

    def _schedules(self) -> list[str]:
        own = automation.prefix(self._name)
        found = schedules.names(self._scheduler, self._group, own) if self._group else []
        return [name.removeprefix(own) for name in found]
