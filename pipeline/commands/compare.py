"""compare: two versions side by side, with tests on the rows and the prompts that both were evaluated on."""

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
from pipeline.errors import UserError

if TYPE_CHECKING:
    from pipeline.versions.comparison import Comparison
    from pipeline.versions.judged import Question

Plot = Annotated[
    Path | None, typer.Option("--plot", metavar="FILE.png", help="Draw the comparison too.", show_default=False)
]


Answers = Annotated[
    int,
    typer.Option("--answers", metavar="N", min=0, help="Print N answers of both versions too, the worst first."),
]


def compare(
    first: Version,
    second: Version,
    plot: Plot = None,
    answers: Answers = 0,
    group: Group = None,
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """Compare two versions: figures side by side, how their training differed, and a test on their common rows."""
    from pipeline.versions import comparison, comparison_answers, comparison_plot, evaluated
    from pipeline.versions.comparison_table import draw

    if plot is not None:
        comparison_plot.check(plot)
    with registry_of(shlex.join(["compare", first, second]), local, local_root, settings, group) as there:
        versions = [there.find(name) for name in (first, second)]
        if versions[0].version == versions[1].version:
            others = f"see the others: python pipeline.py models{there.options}"
            raise UserError(f"{first} and {second} are both version {versions[0].version}; name two versions; {others}")
        sides = [evaluated.side(version, there.read, there.options) for version in versions]
    result = comparison.compare(*sides)
    if plot is not None:
        comparison_plot.write(result, plot)
        say(f"plot written to {plot}")
    if as_json:
        print_json(_document(result, answers))
        return
    stdout().print(draw(result))
    if answers:
        stdout().print()
        stdout().print(comparison_answers.draw(result, answers))


def _document(result: Comparison, answers: int) -> dict[str, Any]:
    from pipeline.versions.comparison import verdict, verdicts_on_answers

    versions = [
        document(
            side.version,
            beta=side.evaluation.beta,
            before=side.evaluation.before.model_dump(),
            after=side.evaluation.after.model_dump() | {"reward_accuracy_interval": side.evaluation.after.interval},
            drift=side.evaluation.served and side.evaluation.served.drift and side.evaluation.served.drift.model_dump(),
            answers=side.evaluation.answers and side.evaluation.answers.model_dump(),
        )
        for side in (result.first, result.second)
    ]
    return {
        "versions": versions,
        "differing": {"facts": result.facts, "arguments": result.arguments},
        "form": result.form,
        "same_rows": result.same_rows,
        "paired": result.paired and dataclasses.asdict(result.paired),
        "calls": result.calls and dataclasses.asdict(result.calls),
        "form_of_answers": result.form_of_answers and dataclasses.asdict(result.form_of_answers),
        "answers": [_question(*pair) for pair in result.questions[:answers]],
        "notes": result.notes,
        "verdict": verdict(result),
        "verdicts_on_answers": verdicts_on_answers(result),
    }


def _question(first: Question, second: Question) -> dict[str, Any]:
    """What both versions answered to a prompt."""
    answers = [one.answers.candidate.model_dump() for one in (first, second)]
    return {"id": second.id, "prompt": second.prompt, "chosen": second.chosen, "answers": answers}
