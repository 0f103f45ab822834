"""Objects that have a key twice: a parser keeps one of the values, and the other would be lost without a word.

To parse with every key looked at takes six times as long, so rows are first compared by a count, of many rows at a
time: the places in their bytes where a key ends, against the keys that the parsed rows have.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from steps.preprocess.rows.reasons import InvalidRow, Reason

NESTED = frozenset((dict, list))
QUOTE, COLON, BACKSLASH, SPACE = b'":\\ '


def count_key_ends(data: bytes) -> int:
    """How many keys the bytes of rows seem to have: places with a quotation mark before a colon.

    None is in the first two bytes of a row. A quotation mark behind one backslash is part of a text. Behind several it
    may be either, and is taken for an end: one too many makes the rows be looked at closely, where one too few might
    hide a key that stands twice.
    """
    values = np.frombuffer(data, np.uint8)
    colon, backslash = values == COLON, values == BACKSLASH
    after = colon[3:-1] | ((values[3:-1] == SPACE) & colon[4:])  # some write a space before the colon
    in_text = backslash[1:-3] > backslash[:-4]
    return int(np.count_nonzero(((values[2:-2] == QUOTE) & after) > in_text))


def count_keys(row: dict[str, Any]) -> int:
    """How many keys all objects of a row have together."""
    count = len(row)
    pending = [value for value in row.values() if type(value) in NESTED]
    for value in pending:  # which grows meanwhile
        if type(value) is dict:
            count += len(value)
            if NESTED.isdisjoint(map(type, value.values())):
                continue  # a turn, as most are
            value = value.values()
        pending += [inner for inner in value if type(inner) in NESTED]
    return count


def refuse_duplicate_keys(data: bytes, row: dict[str, Any]) -> None:
    """
    Args:
        row: what the bytes say.

    Raises:
        InvalidRow: duplicate_keys, with the key.
        RecursionError: it is nested deeper than Python's parser goes.
    """
    if count_key_ends(data) != count_keys(row):
        json.loads(data, object_pairs_hook=_refuse_twice, parse_int=str, parse_float=str)


def _refuse_twice(pairs: list[tuple[str, Any]]) -> None:
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InvalidRow(
            Reason.DUPLICATE_KEYS, f"an object has the key {twice!r} twice; one of its values would be lost"
        )
