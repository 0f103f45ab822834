"""One row of a file into its records: which layout reads it, and which pairs a list of answers makes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from steps.preprocess.layouts import one_sided, synonyms
from steps.preprocess.layouts.format import Format
from steps.preprocess.layouts.formats import by_name, detect, nearest
from steps.preprocess.layouts.ranked import choose
from steps.preprocess.rows.pairs import Row
from steps.preprocess.rows.raw_row import RawRow
from steps.preprocess.rows.reasons import InvalidRow, Reason
from steps.preprocess.rows.rules import Rules
from steps.preprocess.rows.tools import declare
from steps.preprocess.shards.parse import TOO_DEEP, parse
from steps.preprocess.shards.record import ConvertedRow, CountTokens, DeclareTools, Reading, Recorder

RowShape = tuple[object, ...]  # the names of a row's fields, and the types of their values
READINGS_KEPT = 1024


@dataclass(frozen=True)
class Layout:
    """How a file's rows are read: by `format` where they fit it, else, unless `strict`, by one that they do fit.

    Attributes:
        readings: how rows were read whose names and types alone tell that; for the rules of one run.
    """

    format: Format | None
    strict: bool = False
    readings: dict[RowShape, Reading] = field(default_factory=dict, compare=False, repr=False)

    def of(self, row: Row) -> Format:
        if self.format and self.format.fits(row):
            return self.format
        if self.format and self.strict:
            raise self.format.explain(row)
        own = detect(row)
        if own:
            return own
        raise one_sided.refusal(row) or nearest(row, self.format).explain(row)


def file_layout(head: Sequence[RawRow], rules: Rules) -> Layout:
    """The layout that the rules name, or else the one that most of a file's first rows fit."""
    if rules.format:
        return Layout(by_name(rules.format), strict=True)
    votes: Counter[str] = Counter()
    for raw in head:
        try:
            layout = detect(named(parse(raw), rules)[0])
        except InvalidRow:
            continue
        if layout:
            votes[layout.name] += 1
    return Layout(by_name(votes.most_common(1)[0][0]) if votes else None)


class Converted(NamedTuple):
    """What a row came to: the one pair that most rows are, or all pairs of a list of answers.

    Attributes:
        rows: a record or the reason why not, for each pair; at least one.
        ties: of a list of answers: how many pairs were passed over because their scores do not differ enough.
    """

    rows: list[ConvertedRow | InvalidRow]
    ties: int | None = None


def convert(
    raw: RawRow,
    layout: Layout,
    rules: Rules,
    declare_tools: DeclareTools = declare,
    count_tokens: CountTokens | None = None,
) -> ConvertedRow:
    """The first pair of a row, which most rows have alone.

    Raises:
        InvalidRow: the row is none, or its first pair cannot be trained on.
    """
    first = convert_all(raw, parse(raw), layout, Recorder(rules, declare_tools, count_tokens)).rows[0]
    if isinstance(first, InvalidRow):
        raise first
    return first


def convert_all(raw: RawRow, given: Row | InvalidRow, layout: Layout, recorder: Recorder) -> Converted:
    """All pairs of a row.

    Args:
        given: the object that the row is, or why it is none.
    """
    if isinstance(given, InvalidRow):
        return Converted([given])
    shape = (*given, *map(type, given.values()))
    if reading := layout.readings.get(shape):
        return Converted([_recorded(raw, given, reading, recorder)])
    reading = _told_by_types(given, layout, recorder.rules)
    if reading and len(layout.readings) < READINGS_KEPT:
        layout.readings[shape] = reading
    row, names = named(given, recorder.rules)
    found = _converted(raw, row, layout, recorder)
    return found._replace(rows=[_as_called(pair, names) for pair in found.rows]) if names else found


def _as_called(pair: ConvertedRow | InvalidRow, names: synonyms.Names) -> ConvertedRow | InvalidRow:
    """A pair that names the row's fields as the row does."""
    if isinstance(pair, InvalidRow):
        return synonyms.named_reason(pair, names)
    return pair._replace(unread=synonyms.named_places(pair.unread, names))


def _told_by_types(row: Row, layout: Layout, rules: Rules) -> Reading | None:
    """How all rows are read that have this one's names and types; None where their values may tell."""
    format = layout.format
    if format is None or not format.is_told_by_types or rules.columns or rules.ignore_fields:
        return None
    return Reading.of(format, tuple(row)) if synonyms.are_plain(row) and format.fits(row) else None


def _recorded(raw: RawRow, row: Row, reading: Reading, recorder: Recorder) -> ConvertedRow | InvalidRow:
    try:
        return recorder.record(raw, row, reading)
    except InvalidRow as reason:
        return reason
    except (RecursionError, orjson.JSONEncodeError):
        return InvalidRow(Reason.TOO_DEEP, TOO_DEEP)


def _converted(raw: RawRow, row: Row, layout: Layout, recorder: Recorder) -> Converted:
    unread: dict[str, Any] = {}
    try:
        format = layout.of(row)
        inner, row = format.opened(row)
        reading = Reading.of(inner, tuple(row), format.name)
        if inner.listed is None:
            return Converted([_recorded(raw, row, reading, recorder)])
        pairs, ties = choose(inner.listed(row, unread), recorder.rules.pairing)
    except InvalidRow as reason:
        return Converted([reason])
    except (RecursionError, orjson.JSONEncodeError):
        return Converted([InvalidRow(Reason.TOO_DEEP, TOO_DEEP)])
    rows: list[ConvertedRow | InvalidRow] = []
    for better, worse in pairs:
        found = _recorded(raw, {**row, "chosen": better.said, "rejected": worse.said}, reading, recorder)
        if isinstance(found, InvalidRow):
            rows.append(InvalidRow(found.code, f"{better.where} against {worse.where}: {found}"))
        else:
            rows.append(found._replace(unread={**found.unread, **unread}))
    return Converted(rows or [InvalidRow(Reason.TIED, "the scores of the answers do not differ enough")], ties)


def named(row: Row, rules: Rules) -> tuple[Row, synonyms.Names]:
    """The row with its fields under the names that the layouts know, by the user's mapping first; and its own names."""
    if rules.columns:
        row = _with_columns(row, rules.columns)
    for name in rules.ignore_fields:
        row.pop(name, None)
    return synonyms.read(row)


def _with_columns(row: Row, columns: dict[str, str]) -> Row:
    """The row with its fields under the step's names; what stood under such a name already is nobody's then."""
    own = {name: row.pop(given) for name, given in columns.items() if given in row}
    replaced = {f"{name} (replaced by {columns[name]})": row[name] for name in own if name in row}
    return {**row, **own, **replaced}
