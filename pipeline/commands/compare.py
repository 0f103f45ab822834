"""compare: two versions side by side, with a test on the rows that both were evaluated on."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.shared.model_registry import Group, Version, document, registry_of
from pipeline.commands.shared.options import (
    DEFAULT_SETTINGS,
    LOCAL_ROOT,
    AsJson,
    Local,
    LocalRoot,
    Settings,
    print_json,
    say,
    stdout,
)

if TYPE_CHECKING:
    from pipeline.versions.comparison import Comparison

Plot = Annotated[
    Path | None, typer.Option("--plot", metavar="FILE.png", help="Draw the comparison too.", show_default=False)
]


def compare(
    first: Version,
    second: Version,
    plot: Plot = None,
    group: Group = None,
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """Compare two versions: figures side by side, how their training differed, and a test on their common rows."""
    from pipeline.versions import comparison, comparison_plot
    from pipeline.versions.comparison_table import draw

    if plot is not None:
        comparison_plot.check(plot)
    with registry_of(shlex.join(["compare", first, second]), local, local_root, settings, group) as there:
        sides = [comparison.side(there.find(name), there.read, there.options) for name in (first, second)]
    result = comparison.compare(*sides)
    if plot is not None:
        comparison_plot.write(result, plot)
        say(f"plot written to {plot}")
    if as_json:
        print_json(_document(result))
    else:
        stdout().print(draw(result))


def _document(result: Comparison) -> dict[str, Any]:
    from pipeline.versions.comparison import verdict

    versions = [
        document(
            side.version,
            beta=side.evaluation.beta,
            before=side.evaluation.before.model_dump(),
            after=side.evaluation.after.model_dump() | {"reward_accuracy_interval": side.evaluation.after.interval},
        )
        for side in (result.first, result.second)
    ]
    return {
        "versions": versions,
        "differing": {"facts": result.facts, "arguments": result.arguments},
        "same_rows": result.same_rows,
        "paired": result.paired and dataclasses.asdict(result.paired),
        "notes": result.notes,
        "verdict": verdict(result),
    }
