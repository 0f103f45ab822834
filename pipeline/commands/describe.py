"""describe: with which parameters an execution ran, and how they differ from what a start would take today."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from pipeline.aws.executions import ExecutionSummary
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
from pipeline.parameters import history
from pipeline.parameters.history import ParameterUse
from pipeline.parameters.values import Value, as_text
from pipeline.texts import moment


def describe(
    execution: Execution = None,
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """Show an execution's parameters: values, which of them were defaults, and what differs from today's defaults."""
    with place_of(("describe",), local, local_root, settings) as place:
        named = place.find(execution)
        summary, _ = place.status(named)
        found = place.parameters(named)
    if as_json:
        print_json({**dataclasses.asdict(summary), "parameters": [_document(use) for use in found]})
    else:
        _draw(summary, found)
        again = f"{history.assignments(found)}{place.options}"
        print(f"as a page: {page_of(summary.id, place.options)}")
        print(f"the same again: python pipeline.py start{again}")


def _document(use: ParameterUse) -> dict[str, Any]:
    return {**dataclasses.asdict(use), "was_default": use.was_default, "differs": use.differs}


def _draw(summary: ExecutionSummary, uses: Sequence[ParameterUse]) -> None:
    console = stdout()
    name = f" ({summary.name})" if summary.name else ""
    title = f"{summary.pipeline} {summary.id}{name} {summary.status}, started {moment(summary.started)}"
    console.print(Text(title), soft_wrap=True)
    table = Table("Parameter", box=None)
    for column in ("Value", "Then", "Default today"):
        table.add_column(column, overflow="fold")
    for use in uses:
        then = "default" if use.was_default else f"set; default {_text(use.default_then)}"
        style = "yellow" if use.differs else ""
        if use.value is None:
            row = ("", "not there yet", _text(use.default_today))
        else:
            today = "no such parameter" if use.default_today is None else _text(use.default_today)
            row = (_text(use.value), then, today if use.differs else "the same")
        table.add_row(*(Text(cell, style=style) for cell in (use.name, *row)))
    console.print(table)


def _text(value: Value | None) -> str:
    return "None" if value is None else as_text(value)
