"""Draw a comparison: what differs, the held-out figures and slices side by side, and what the common rows say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from pipeline.texts import moment
from pipeline.versions.comparison import Comparison, Figures, Side, verdict

MISSING = "-"  # a figure that is not defined, or that an older evaluation does not have
LOSS, ACCURACY = "loss", "reward_accuracy"

# A figure, its name, and how it is written. What each means is said in steps/train/evaluation/figures.py.
FIGURES = (
    ("reward_margin", "reward margin", "+.4f"),
    ("ties", "ties", "d"),
    ("drift_chosen", "drift of chosen, nats", "+.3f"),
    ("drift_rejected", "drift of rejected, nats", "+.3f"),
    ("drift_chosen_per_token", "drift of chosen per token", "+.4f"),
    ("drift_rejected_per_token", "drift of rejected per token", "+.4f"),
    ("longer_is_chosen", "longer is chosen (data)", ".3f"),
    ("longer_is_preferred", "longer is preferred", ".3f"),
    ("length_margin_correlation", "length and margin, rank correlation", "+.3f"),
)

HASH_SHOWN = 16  # digits of a data hash, as of the other keys

Row = tuple[str, ...]  # a name and a cell of each version


def draw(comparison: Comparison) -> Group:
    """The picture of a comparison."""
    first, second = comparison.first, comparison.second
    table = Table("", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for side in (first, second):
        table.add_column(f"Version {side.version.version}", overflow="fold", min_width=24)
    _section(table, "Versions", _versions(comparison))
    _section(table, "Held-out rows, before -> after training", _figures(first, second))
    _section(table, "Reward accuracy of each slice", _slices(first, second))
    _section(table, "Training arguments that differ", _arguments(comparison))
    notes = [*comparison.notes, verdict(comparison)]
    if not comparison.arguments:
        known = comparison.arguments is not None
        notes.insert(0, "The training arguments are the same." if known else "The training arguments are not known: "
                     "the adapter's manifest of a version is gone.")  # fmt: skip
    return Group(table, Text(), *(Text(line) for line in notes))


def _section(table: Table, title: str, rows: Iterator[Row]) -> None:
    found = list(rows)
    if found:
        table.add_row()
        table.add_row(title, style="bold")
    for row in found:
        table.add_row(*map(Text, row))  # what people wrote is no markup


def _versions(comparison: Comparison) -> Iterator[Row]:
    sides = (comparison.first, comparison.second)
    yield "registered", *(moment(side.version.created) for side in sides)
    yield "status", *(_status(side) for side in sides)
    for name, values in comparison.facts.items():
        one, other = (value[:HASH_SHOWN] if name == "data_hash" and value else _plain(value) for value in values)
        yield name.replace("_", " "), one, other


def _status(side: Side) -> str:
    return side.version.approval_status + (", champion" if side.version.champion else "")


def _arguments(comparison: Comparison) -> Iterator[Row]:
    for key, (one, other) in (comparison.arguments or {}).items():
        yield key, _plain(one), _plain(other)


def _figures(first: Side, second: Side) -> Iterator[Row]:
    sides = (first.evaluation, second.evaluation)
    yield "rows", *(str(side.after.rows) for side in sides)
    yield "beta", *(f"{side.beta:g}" for side in sides)
    yield "reward accuracy", *(f"{side.before.reward_accuracy:.3f} -> {accuracy(side.after)}" for side in sides)
    yield LOSS, *(f"{_written(side.before, LOSS, '.4f')} -> {_written(side.after, LOSS, '.4f')}" for side in sides)
    for key, name, form in FIGURES:
        yield name, *(_written(side.after, key, form) for side in sides)


def _slices(first: Side, second: Side) -> Iterator[Row]:
    ones, others = first.evaluation.after.slices, second.evaluation.after.slices
    for kind in sorted(ones.keys() | others.keys()):
        one, other = ones.get(kind, {}), others.get(kind, {})
        for name in sorted(one.keys() | other.keys()):
            yield f"{kind}: {name}", *(_slice(parts.get(name)) for parts in (one, other))


def _slice(figures: Figures | None) -> str:
    return MISSING if figures is None else f"{accuracy(figures)} of {figures.rows} rows"


def accuracy(figures: Figures) -> str:
    """The reward accuracy with its 95 % interval."""
    low, high = figures.interval
    return f"{figures.reward_accuracy:.3f} [{low:.3f}, {high:.3f}]"


def _written(figures: Figures, key: str, form: str) -> str:
    value = figures.get(key)
    return MISSING if value is None else format(value, form)


def _plain(value: Any) -> str:
    return MISSING if value is None else str(value)
