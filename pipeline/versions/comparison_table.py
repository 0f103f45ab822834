"""Draw a comparison: what differs, the held-out figures and slices side by side, and what the common rows say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from pipeline.texts import moment
from pipeline.versions.comparison import Comparison, verdict, verdicts_on_answers
from pipeline.versions.evaluated import Side
from pipeline.versions.judged import Figures, Share, Spoken

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

# A share of the answers, and where it lies.
PARTS: dict[str, Callable[[Spoken], Share | None]] = {
    "calls right": lambda spoken: spoken.calls,
    "call or no call": lambda spoken: spoken.calls and spoken.calls.decision,
    "names of calls": lambda spoken: spoken.calls and spoken.calls.name,
    "arguments of calls": lambda spoken: spoken.calls and spoken.calls.arguments,
    "valid calls": lambda spoken: spoken.calls and spoken.calls.valid,
    "degenerate answers": lambda spoken: spoken.form.degenerate,
}

HASH_SHOWN = 16  # digits of a data hash, as of the other keys

Row = tuple[str, ...]  # a name and a cell of each version


def draw(comparison: Comparison) -> Group:
    """The picture of a comparison."""
    first, second = comparison.first, comparison.second
    table = Table("", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for side in (first, second):
        table.add_column(f"Version {side.version.version}", overflow="fold", min_width=24)
    _section(table, "Versions", _versions(comparison))
    form = " as served" if comparison.form == "served" else ""
    _section(table, f"Held-out rows{form}, before -> after training", _figures(first, second))
    _section(table, "As served, beside the form that was trained", _served(first, second))
    _section(table, "Canary set, which every run holds out", _canary(first, second))
    _section(table, "What they say, base -> version", _answers(first, second))
    _section(table, "Reward accuracy of each slice", _slices(first, second))
    _section(table, "Training arguments that differ", _arguments(comparison))
    notes = [*comparison.notes, verdict(comparison), *verdicts_on_answers(comparison)]
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


def _served(first: Side, second: Side) -> Iterator[Row]:
    """How far both forms of a version are apart, where it was evaluated as it is served."""
    sections = [side.evaluation.served for side in (first, second)]
    if not any(one and one.evaluated for one in sections):
        return
    drifts = [one.drift if one and not one.same else None for one in sections]
    same = ["the same form" if one and one.same else MISSING for one in sections]
    yield (
        "rows that change sides",
        *(f"{one.rows_changed} of {one.rows}" if one else said for one, said in zip(drifts, same, strict=True)),
    )
    yield "reward accuracy, change", *(_number(one.accuracy if one else None, "+.4f") for one in drifts)
    yield "log ratio, nats a token", *(_number(one.log_prob_per_token if one else None, ".4f") for one in drifts)


def _canary(first: Side, second: Side) -> Iterator[Row]:
    """The reward accuracy on the canary set, in the form that the gate judges, where a version was judged by one."""
    found = [side.evaluation.canary for side in (first, second)]
    if any(found):
        yield "reward accuracy", *map(_slice, found)


def _answers(first: Side, second: Side) -> Iterator[Row]:
    """What was measured of the answers of each version, beside its own base's."""
    sections = [side.evaluation.answers for side in (first, second)]
    if not any(one and one.judged for one in sections):
        return
    pairs = [(one.before, one.after) if one else (None, None) for one in sections]
    yield "prompts answered", *(str(after.form.rows) if after else MISSING for _, after in pairs)
    yield "prompts with tools", *(str(after.calls.rows) if after and after.calls else MISSING for _, after in pairs)
    for name, part in PARTS.items():
        yield name, *(_change(before, after, part) for before, after in pairs)
    yield "tokens, mean", *(_number(after.form.tokens_mean if after else None, ".1f") for _, after in pairs)


def _change(before: Spoken | None, after: Spoken | None, part: Callable[[Spoken], Share | None]) -> str:
    now = after and part(after)
    if not now or now.share is None or now.low is None or now.high is None:
        return MISSING
    then = before and part(before)
    was = _number(then.share if then else None, ".3f")
    return f"{was} -> {now.share:.3f} [{now.low:.3f}, {now.high:.3f}]"


def _number(value: float | None, form: str) -> str:
    return MISSING if value is None else format(value, form)


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
    return _number(figures.get(key), form)


def _plain(value: Any) -> str:
    return MISSING if value is None else str(value)
