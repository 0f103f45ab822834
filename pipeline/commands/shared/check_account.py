"""The part of `check --account`: look into the account, and show what was found. Changes nothing there."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from pipeline.account_check.finding import Level
from pipeline.aws import errors as aws
from pipeline.commands.shared.options import stdout, where
from pipeline.settings.workflow import Workflow

if TYPE_CHECKING:
    from pipeline.account_check.subjects.table import Result

STYLES: dict[Level, str] = {"error": "red", "warning": "yellow", "unknown": "magenta", "note": "cyan"}
TITLES: dict[Level, str] = {"error": "ERROR", "warning": "warning", "unknown": "not seen", "note": "note"}
INDENT = " " * 10


def look(workflow: Workflow, definition: dict[str, Any], settings: Path, command: str) -> Result:
    """Look at everything in the account that an execution needs.

    Args:
        command: what to run again once AWS can be asked.

    Raises:
        UserError: there are no credentials, they are not valid, or AWS cannot be reached.
    """
    from pipeline.account_check.context import Clients, Context, Places, read_address
    from pipeline.account_check.subjects import table

    account = workflow.account
    options, places = where(False, settings), Places.of(settings, workflow)
    context = Context(workflow, definition, Clients(account.region), places, options, read_address)
    with aws.translated(command):
        return table.run(context)


def errors(result: Result) -> int:
    """How many findings would let an execution fail."""
    return sum(finding.level == "error" for finding in result.findings)


def as_dict(result: Result) -> dict[str, Any]:
    """A result as `--json` prints it."""
    return dataclasses.asdict(result)


def show(result: Result) -> None:
    """Print every finding: how bad it is, what it is about and where that is set, what is wrong, and the fix."""
    out = stdout()
    looks = ", ".join(f"{name} {count}" for name, count in result.looks.items() if count)
    out.print(Text(f"\nAccount {result.account}, {result.region}, as {result.caller}", style="bold"), soft_wrap=True)
    out.print(Text(f"looked at: {looks}"), soft_wrap=True)
    for finding in result.findings:
        first = Text(f"{TITLES[finding.level]:<{len(INDENT)}}", style=STYLES[finding.level])
        out.print(first + Text(f"{finding.subject}: {finding.where}"), soft_wrap=True)
        out.print(Text(f"{INDENT}{finding.what}"), soft_wrap=True)
        if finding.fix:
            out.print(Text(f"{INDENT}fix: {finding.fix}"), soft_wrap=True)
    found = [finding.level for finding in result.findings]
    out.print(Text(counted({level: found.count(level) for level in TITLES})), soft_wrap=True)


def counted(levels: Mapping[Level, int]) -> str:
    """`2 errors, 1 warning, 3 not seen`, or that nothing is wrong."""
    words = [
        _several(levels["error"], "error"),
        _several(levels["warning"], "warning"),
        f"{levels['unknown']} not seen" if levels["unknown"] else "",
    ]
    return ", ".join(filter(None, words)) or "nothing is wrong in what was looked at"


def _several(count: int, word: str) -> str:
    return f"{count} {word}{'s' if count != 1 else ''}" if count else ""
