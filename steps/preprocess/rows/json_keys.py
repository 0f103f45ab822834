"""Objects that have a key twice: a parser keeps one of the values, and the other would be lost without a word.

To parse with every key looked at takes six times as long, so rows are first compared by a count: the places in a row's
bytes where a key ends, as many rows at a time as fit the cache, against the keys that the parsed row has.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from steps.preprocess.rows.raw_row import CHUNK_BYTES, RawRow
from steps.preprocess.rows.reasons import InvalidRow, Reason

NESTED = frozenset((dict, list))
QUOTE, COLON, BACKSLASH, SPACE = b'":\\ '


def with_key_counts(rows: Iterable[RawRow]) -> Iterator[RawRow]:
    """The rows, each with how many keys its bytes seem to have."""
    waiting: list[RawRow] = []
    size = 0
    for row in rows:
        waiting.append(row)
        size += len(row.data)
        if size >= CHUNK_BYTES:
            yield from _counted(waiting)
            waiting, size = [], 0
    yield from _counted(waiting)


def _counted(rows: list[RawRow]) -> Iterator[RawRow]:
    ends = _key_ends(b"".join([row.data for row in rows]))
    start = 0
    for row in rows:
        until = start + len(row.data)
        keys = int(np.count_nonzero(ends[start:until]))
        yield RawRow(row.file, row.line, row.data, row.problem, keys)
        start = until


def _key_ends(data: bytes) -> np.ndarray:
    """Where in rows' bytes a key seems to end, with a quotation mark before a colon: bool, shape (bytes - 4,).

    Two bytes before the mark is where it says True: no key ends in the first two bytes of a row. A mark behind one
    backslash is part of a text. Behind several it may be either, and is taken for an end: one too many makes the row be
    looked at closely, where one too few might hide a key that stands twice.
    """
    values = np.frombuffer(data, np.uint8)
    colon, backslash = values == COLON, values == BACKSLASH
    after = colon[3:-1] | ((values[3:-1] == SPACE) & colon[4:])  # some write a space before the colon
    in_text = backslash[1:-3] > backslash[:-4]
    return ((values[2:-2] == QUOTE) & after) > in_text


def refuse_duplicate_keys(raw: RawRow, row: dict[str, Any]) -> None:
    """
    Args:
        row: what the bytes of `raw` say.

    Raises:
        InvalidRow: duplicate_keys, with the key; too_deep where that cannot be found out.
    """
    seeming = int(np.count_nonzero(_key_ends(raw.data))) if raw.keys is None else raw.keys
    if seeming != _count_keys(row):
        try:
            json.loads(raw.data, object_pairs_hook=_refuse_twice)
        except RecursionError:
            raise InvalidRow(Reason.TOO_DEEP, "nested too deep to be a preference pair") from None


def _count_keys(row: dict[str, Any]) -> int:
    """How many keys all objects of a row have together."""
    count = len(row)
    pending = [value for value in row.values() if type(value) in NESTED]
    for value in pending:  # which grows meanwhile
        if type(value) is dict:
            count += len(value)
            value = value.values()
        for inner in value:
            if type(inner) in NESTED:
                pending.append(inner)
    return count


def _refuse_twice(pairs: list[tuple[str, Any]]) -> None:
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InvalidRow(
            Reason.DUPLICATE_KEYS, f"an object has the key {twice!r} twice; one of its values would be lost"
        )
