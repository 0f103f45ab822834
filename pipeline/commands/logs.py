"""logs: what a step's job printed, on AWS or on this machine, so far or as it comes."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from pipeline.commands.shared.options import (
    DEFAULT_SETTINGS,
    LOCAL_ROOT,
    AsJson,
    Execution,
    Local,
    LocalRoot,
    Settings,
    where,
)
from pipeline.commands.shared.place import place_of
from pipeline.errors import UserError
from steps.shared.pages import visible

StepName = Annotated[str | None, typer.Option("--step", help="Step name; default: the failed step, or the last one.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Keep printing until the step's job has ended.")]


def logs(
    execution: Execution = None,
    step: StepName = None,
    follow: Follow = False,
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """Print the log of a step's job."""
    if execution and step is None and execution[0].isupper():  # as steps' names begin, and no execution's id
        meant = f"python pipeline.py logs --step {shlex.quote(execution)}{where(local, settings, local_root)}"
        raise UserError(f"{execution}: is no execution; if a step is meant: {meant}")
    words = ("logs", execution, f"--step={step}" if step else None, "--follow" if follow else None)
    with place_of(words, local, local_root, settings) as place:
        _print(place.log(place.find(execution), step, follow), as_json)


def _print(lines: Iterator[dict[str, str]], as_json: bool) -> None:
    """The lines as they come; as JSON they are one list, which is whole when the command has ended."""
    if as_json:
        before = "["
        for line in lines:
            sys.stdout.write(f"{before}\n  {json.dumps(line, ensure_ascii=False)}")
            sys.stdout.flush()
            before = ","
        sys.stdout.write("\n]\n" if before == "," else "[]\n")
        return
    for line in lines:
        head = f"{line['time']} {line['node']} " if "time" in line else ""
        print(f"{head}{visible.visible(line['message'])}", flush=True)
