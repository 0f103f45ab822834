"""Ask before something is changed or deleted: on a terminal; anywhere else `--yes` must have been given."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pipeline.errors import UserError
from pipeline.watching import beat

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def confirm(question: str, yes: bool, command: str) -> None:
    """Go on only with a yes.

    Args:
        command: what to run, with --yes, where nobody can be asked.

    Raises:
        UserError: nobody is there to ask, or the answer is no.
    """
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UserError(f"{question} Nobody can be asked here; when it is what you want: {command} --yes")
    with beat.hold("a question"):
        agreed = typer.confirm(question, err=True)
    if not agreed:
        raise UserError("nothing was changed")
