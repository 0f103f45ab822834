"""Options that several commands share, and how they print."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from pipeline.files import DEFAULT_SETTINGS, LOCAL_ROOT
from steps.shared.pages import visible

Settings = Annotated[
    Path, typer.Option("--settings", help="Workflow settings.", show_default="configs/quickstart.yaml")
]
Local = Annotated[bool, typer.Option("--local", help="On this machine instead of AWS.")]
LocalRoot = Annotated[
    Path, typer.Option("--local-root", help="Folder of the local state.", show_default=".local", file_okay=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, everything else on stderr.")]
Execution = Annotated[str | None, typer.Argument(help="Execution id; default: the newest one.", show_default=False)]

stderr = Console(stderr=True)


def stdout() -> Console:
    """A console on stdout, wide enough to cut nothing where stdout is no terminal."""
    return Console() if sys.stdout.isatty() else Console(width=160)


def say(text: str) -> None:
    """A line on stderr, whole however narrow the terminal: the commands in it are there to be copied."""
    stderr.print(visible.visible(text), markup=False, highlight=False, soft_wrap=True)


def left_out(error: Exception) -> None:
    """Say what a list leaves out, and why."""
    say(f"left out: {error}")


def page_of(execution: str, options: str) -> str:
    """The command that shows an execution as a page."""
    return f"python pipeline.py report{options} {execution} --open"


def print_json(value: Any) -> None:
    """One JSON document; dataclasses as objects, times in ISO 8601."""
    json.dump(value, sys.stdout, indent=2, default=_plain, ensure_ascii=False)
    sys.stdout.write("\n")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def where(local: bool, settings: Path, root: Path = LOCAL_ROOT) -> str:
    """The options that a next command needs to mean the same place, with a space before."""
    words = ""
    if local:
        words += " --local" + (f" --local-root {shlex.quote(str(root))}" if root != LOCAL_ROOT else "")
    if settings != DEFAULT_SETTINGS:
        words += f" --settings {shlex.quote(str(settings))}"
    return words
