"""Any two answers whose names belong together, and a label that names the better one, or a score for each.

A label that might mean either, such as 0 beside `response_1` and `response_2`, refuses the row.
"""

from __future__ import annotations

import re

from steps.preprocess.layouts.labelled import FIRST, SECOND, TIE, Verdict, reader, scores
from steps.preprocess.rows.notes import Notes
from steps.preprocess.rows.pairs import Pair, Row
from steps.preprocess.rows.reasons import InvalidRow, Reason, quoted

PAIRS = tuple(
    (f"{name}{one}", f"{name}{other}")
    for name in ("response", "answer", "output", "completion")
    for one, other in (("_a", "_b"), ("_A", "_B"), ("_0", "_1"), ("_1", "_2"), ("1", "2"), ("A", "B"))
)
ANSWERS = frozenset(name for pair in PAIRS for name in pair)
FIRST_WORD = re.compile("^[a-z]+")
SCORES = tuple(sorted({f"score{FIRST_WORD.sub('', name)}" for name in ANSWERS}))
LABELS = ("preference", "preferred", "label", "choice", "winner", "better", "better_response", "preferred_response")
NO_LETTER = re.compile("[^a-z0-9]")
TIES = frozenset(("tie", "tied", "tiebothbad", "bothbad", "both", "equal", "same", "draw"))


def is_there(row: Row) -> bool:
    """Whether a row has two answers that belong together and no other, and one label."""
    return _names(row) is not None


def _names(row: Row) -> tuple[str, str, str] | None:
    pair = _pair(row)
    labels = [name for name in LABELS if row.get(name) is not None]
    if pair is None or len(labels) != 1 or not isinstance(row[labels[0]], str | int | float):
        return None
    return (*pair, labels[0])


def _pair(row: Row) -> tuple[str, str] | None:
    found = {name for name in ANSWERS if row.get(name) is not None}
    return next((pair for pair in PAIRS if found == set(pair)), None)


def read(row: Row, notes: Notes) -> Pair:
    """By a label that names an answer, as `response_a`, `A` or `1`: a number alone that names neither is refused."""
    names = _names(row)
    if names is None:
        raise InvalidRow(Reason.MISSING_FIELD, "no two answers with a label that says which is better")
    first, second, label = names
    return reader("prompt", first, second, _naming(label, first, second))(row, notes)


def has_scores(row: Row) -> bool:
    """Whether a row has two answers that belong together and no other, and a score for each."""
    return _scored(row) is not None


def _scored(row: Row) -> tuple[str, str, str, str] | None:
    pair = _pair(row)
    if pair is None:
        return None
    one, other = (f"score{FIRST_WORD.sub('', name)}" for name in pair)
    are_there = all(isinstance(row.get(name), str | int | float) for name in (one, other))
    return (*pair, one, other) if are_there else None


def read_by_scores(row: Row, notes: Notes) -> Pair:
    """By the scores, of which the higher one is better."""
    names = _scored(row)
    if names is None:
        raise InvalidRow(Reason.MISSING_FIELD, "no two answers with a score each")
    first, second, one, other = names
    return reader("prompt", first, second, scores(one, other))(row, notes)


def _naming(field: str, first: str, second: str) -> Verdict:
    meanings = dict.fromkeys(TIES, TIE)
    for name, meaning in ((first, FIRST), (second, SECOND)):
        end = name[-1].lower()
        meanings |= dict.fromkeys((_plain(name), end, f"model{end}", f"assistant{end}"), meaning)

    def verdict(row: Row) -> int:
        value = row[field]
        named = value if isinstance(value, str) else "" if isinstance(value, bool) else f"{value:g}"
        found = meanings.get(_plain(named))
        if found is None:
            said = f"{field} is {quoted(value)}; must name {first} or {second}, or be a tie"
            raise InvalidRow(Reason.WRONG_TYPE, said)
        return found

    return verdict


def _plain(text: str) -> str:
    return NO_LETTER.sub("", text.lower())
