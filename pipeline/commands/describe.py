"""describe: with which parameters an execution ran, and how they differ from what a start would take today."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from pipeline.aws import executions as aws_executions
from pipeline.aws.executions import ExecutionSummary
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
from pipeline.parameters import history
from pipeline.parameters.history import ParameterUse
from pipeline.parameters.values import Value
from pipeline.settings import workflow as workflow_settings
from pipeline.texts import moment


def describe(
    execution: Execution = None,
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """Show an execution's parameters: values, which of them were defaults, and what differs from today's defaults."""
    if local:
        from pipeline.local.state import as_on_aws, records
        from pipeline.parameters.declared import parameters

        record = as_on_aws.find(local_root, execution)
        summary = as_on_aws.summary(record)
        given = {name: _text(value) for name, value in record.parameters.items()}
        definition = records.load_definition(local_root, record.id)
        today = {entry.name: entry.default for entry in parameters(workflow_settings.load(settings))}
    else:
        with remote("describe", settings) as there:
            arn = there.find(execution)
            summary, _ = aws_executions.status(there.sagemaker, arn)
            given, definition = aws_executions.parameters(there.sagemaker, arn)
            deployed = there.sagemaker.describe_pipeline(PipelineName=there.name)
            today = history.defaults(json.loads(deployed["PipelineDefinition"]))
    found = history.uses(definition, given, today)
    if as_json:
        print_json({**dataclasses.asdict(summary), "parameters": [_document(use) for use in found]})
    else:
        _draw(summary, found)
        again = f"{history.assignments(found)}{where(local, settings, local_root)}"
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
    return str(value).lower() if isinstance(value, bool) else str(value)
