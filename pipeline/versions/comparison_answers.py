"""Draw what two versions and a base answered to the same prompts, side by side, those first on which
the second got worse.

What differs from the chosen answer is underlined and coloured where the terminal can. Limits: long texts are cut;
report.html and answers.jsonl have them whole, with the tools. The base is the second version's.
"""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from pipeline.versions.comparison import Comparison
from pipeline.versions.judged import Answer, Question
from steps.shared.pages.differences import pieces
from steps.shared.pages.visible import visible

LONGEST = 1200  # characters of a text
DIFFERENT, LACKING = "underline red", "underline green"


def draw(comparison: Comparison, count: int) -> Group:
    """The first so many of the questions that both answered."""
    shown = comparison.questions[:count]
    if not shown:
        return Group(Text("No prompt was answered by both versions."))
    title = f"Answers, {len(shown)} of {len(comparison.questions)}, the worst first"
    return Group(Text(title, style="bold"), *(_question(pair, comparison) for pair in shown))


def _question(pair: tuple[Question, Question], comparison: Comparison) -> Table:
    asked = pair[1].asked
    table = Table(title=Text(visible(_cut(asked))), title_justify="left", expand=True)
    chosen, second = _cut(pair[1].chosen), _cut(pair[1].answers.candidate.text)
    sides = [
        ("Base", pair[1].answers.base),
        (f"Version {comparison.first.version.version}", pair[0].answers.candidate),
        (f"Version {comparison.second.version.version}", pair[1].answers.candidate),
    ]
    table.add_column("Chosen answer", ratio=1, overflow="fold")
    for name, answer in sides:
        table.add_column(_head(name, answer), ratio=1, overflow="fold")
    table.add_row(_marked(chosen, second, LACKING), *(_marked(_cut(one.text), chosen, DIFFERENT) for _, one in sides))
    return table


def _head(name: str, answer: Answer) -> Text:
    said = f": {answer.verdict}" if answer.verdict else ""
    return Text(visible(f"{name}{said}"))


def _marked(text: str, other: str, style: str) -> Text:
    found = Text()
    for piece in pieces(text, other):
        found.append(visible(piece.text), style=style if piece.differs else "")
    return found


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text) - LONGEST:,} more)"
