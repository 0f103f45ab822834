"""check, definition, show: what would be deployed, without touching AWS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pipeline import settings as workflow_settings
from pipeline.commands.options import DEFAULT_SETTINGS, AsJson, Settings, print_json, stdout, where
from pipeline.errors import problems_error


def check(settings: Settings = DEFAULT_SETTINGS, as_json: AsJson = False) -> None:
    """Check settings, recipe and the rendered definition against the AWS API model; lists all problems at once."""
    workflow, problems = workflow_settings.inspect(settings)
    if workflow:
        from pipeline.checks.api_model import check_definition
        from pipeline.rendering import render

        problems = check_definition(json.loads(render(workflow)))
    if as_json:
        print_json({"settings": str(settings), "problems": problems})
    if problems:
        raise problems_error(
            str(settings), problems, f"Mend them, then: python pipeline.py check{where(False, settings)}"
        )
    if not as_json:
        print(f"{settings}: no problems")


def print_definition(
    settings: Settings = DEFAULT_SETTINGS,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to a file instead of stdout.")] = None,
) -> None:
    """Print the pipeline definition (JSON); the same settings give the same bytes."""
    from pipeline.rendering import render

    text = render(workflow_settings.load(settings)) + "\n"
    if output is None:
        print(text, end="")
        return
    from pipeline.local.files import write_text

    write_text(output, text)


def show(settings: Settings = DEFAULT_SETTINGS) -> None:
    """Draw the pipeline: its steps as a tree, and its parameters."""
    from pipeline.parameters import parameters
    from pipeline.rendering import render
    from pipeline.show import draw

    workflow = workflow_settings.load(settings)
    helps = {parameter.name: parameter.help for parameter in parameters(workflow)}
    stdout().print(draw(json.loads(render(workflow)), helps, workflow.settings.pipeline_name))
