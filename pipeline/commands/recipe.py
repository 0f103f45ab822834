"""recipe: translate a file of another trainer into a recipe."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import UserError

From = Annotated[
    Path, typer.Option("--from", help="A file of `trl dpo`, axolotl or LLaMA-Factory.", show_default=False)
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write to this new file instead of stdout.", show_default=False)
]


def recipe(source: From, output: Output = None) -> None:
    """Translate a file of TRL, axolotl or LLaMA-Factory into a recipe, and name every key that it cannot hold.

    The recipe goes to stdout or to --output, with a comment at each line that says where its value comes from; what
    became of all keys is told on stderr.
    """
    from pipeline.files import write_text
    from steps.train.other_tools import text
    from steps.train.other_tools.read import read
    from steps.train.other_tools.translate import translate

    if output is not None and output.exists():
        raise UserError(f"--output: {output} is there already, perhaps with changes of yours; name a new file")
    translation = translate(read(source), source)
    written = text.recipe(translation, source)
    print(text.report(translation, source), file=sys.stderr)
    if output is None:
        print(written, end="")
        return
    write_text(output, written)
    print(f"{output}: written; next: python pipeline.py check --recipe {shlex.quote(str(output))}", file=sys.stderr)
