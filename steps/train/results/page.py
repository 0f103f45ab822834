"""A training run as one HTML page: how much better the model tells chosen from rejected, where, and at what price.

What the page says is decided here and in curves.py; how it looks, in report.html.jinja and what the pages of all steps
share (steps/shared/pages). Reads the evaluation and the history of this version only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steps.shared.pages.template import load, pretty, some_turns
from steps.shared.records import Record
from steps.shared.statistics.intervals import wilson_interval
from steps.train.results import curves, figures, spoken
from steps.train.rows.tokenise import TRAINED

if TYPE_CHECKING:
    import jinja2

FEW = 20  # rows, whose figures tell little
EXAMPLES = 3  # rows with the largest and with the smallest margins, each
USED = ("given", "used")


def render(
    evaluation: Mapping[str, Any],
    history: curves.History,
    arguments: Mapping[str, Any],
    places: Mapping[str, Mapping[str, Sequence[str]]],
    records: Sequence[Record],
    shares: Sequence[str] = (),
    answers: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The page of a run.

    Args:
        evaluation, history: what evaluation.json and history.json hold.
        places: of each split, by the reason for which rows were cut or left out, where some of them stood.
        arguments: as `tracker_settings.shown` gives them.
        records: the held-out rows, for their texts.
        shares: of the base's weights in 4-bit and with adapters, in words.
        answers: the rows of answers.jsonl, where there are any.
    """
    before, after = evaluation["before"], evaluation["after"]
    return _template().render(
        evaluation=evaluation,
        before=before,
        after=after,
        verdict=figures.verdict(after),
        figures=figures.before_and_after(before, after),
        slices=[(kind, name, before["slices"][kind][name], part)
                for kind, parts in after["slices"].items() for name, part in parts.items()],
        panels=[curves.drawing(panel) for panel in curves.panels(history)],
        last=history[-1]["step"] if history else 0,
        continued=not any(entry["step"] == 0 for entry in history),
        not_finite=sum(value is None for entry in history for value in entry.values()),
        bias=length_bias(after),
        lengths=curves.scatter([(row["chosen_tokens"] - row["rejected_tokens"], evaluation["beta"] * row["margin"])
                                for row in evaluation["margins"]]),
        examples=_examples(evaluation["margins"], evaluation["beta"], records),
        champion=evaluation["champion"],
        served=evaluation.get("served"),
        served_figures=figures.as_served(evaluation),
        said=evaluation.get("answers"),
        spoken=_spoken(evaluation, answers),
        shares=shares,
        splits=_splits(evaluation["tokenised"], places),
        reasoning=evaluation["reasoning"] if any(evaluation["reasoning"].values()) else {},
        trained=TRAINED,
        arguments={key: _argument(value) for key, value in sorted(arguments.items())},
    )  # fmt: skip


@cache
def _template() -> jinja2.Template:
    names = {"FEW": FEW, "POINTS": curves.POINTS, "KINDS": spoken.KINDS}
    return load(Path(__file__).parent, "report.html.jinja", names)


def _spoken(evaluation: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    section = evaluation.get("answers")
    return spoken.view(section, rows) if section and section["judged"] else None


def length_bias(after: Mapping[str, Any]) -> dict[str, Any] | None:
    """Whether the policy prefers the longer answer more, or less, often than the data chooses it.

    More than chance allows: the data's share is outside Wilson's 95 % interval of the policy's. None where all answers
    are as long as their other.
    """
    count = after["unequal_lengths"]
    if not count:
        return None
    low, high = wilson_interval(after["longer_is_preferred"] * count, count)
    data = after["longer_is_chosen"]
    leaning = "longer" if data < low else "shorter" if data > high else None
    return {"leaning": leaning, "low": low, "high": high}


def _examples(margins: Sequence[Mapping[str, Any]], beta: float, records: Sequence[Record]) -> list[dict[str, Any]]:
    """The rows that the policy gets most wrong and most right, each once."""
    texts = {record.id: record for record in records}
    ordered = sorted(margins, key=lambda row: (row["margin"], row["id"]))
    least = ordered[:EXAMPLES]
    largest = ordered[len(least) :][-EXAMPLES:][::-1]
    kinds = (("Smallest margins", least), ("Largest margins", largest))
    return [
        {"title": title, "rows": [_example(row, beta, texts[row["id"]]) for row in rows]}
        for title, rows in kinds
        if rows
    ]


def _example(row: Mapping[str, Any], beta: float, record: Record) -> dict[str, Any]:
    sides = ("prompt", "chosen", "rejected")
    turns = {side: some_turns([_cut(message) for message in getattr(record, side)]) for side in sides}
    tools = [tool["function"]["name"] for tool in record.tools or []]
    place = {"file": record.source_file, "line": record.source_line}
    return {**row, **place, "reward_margin": beta * row["margin"], "turns": turns, "tools": tools}


def _cut(message: Mapping[str, Any]) -> dict[str, Any]:
    """The message with a very long text cut."""
    return {**message, "content": pretty(message["content"])} if message.get("content") else dict(message)


def _splits(
    tokenised: Mapping[str, Mapping[str, int]], places: Mapping[str, Mapping[str, Sequence[str]]]
) -> list[dict[str, Any]]:
    return [
        {
            "name": split,
            "given": counts["given"],
            "used": counts["used"],
            "reasons": [
                {"reason": reason, "count": count, "places": places[split][reason]}
                for reason, count in counts.items()
                if reason not in USED
            ],
        }
        for split, counts in tokenised.items()
    ]


def _argument(value: Any) -> str | None:
    """An argument as people write it; None where it is not set."""
    if value is None:
        return None
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
