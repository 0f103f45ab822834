"""Objects that have a key twice: a parser keeps one of the values, and the other would be lost without a word.

To parse with every key looked at takes six times as long, so rows are first compared by a count, of many rows at a
time: the places in their bytes where a key ends, against the keys that the parsed rows have.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np

from steps.preprocess.rows.reasons import InvalidRow, Reason, quoted

NESTED = frozenset((dict, list))
QUOTE, COLON, BACKSLASH, SPACE = b'":\\ '
KEY_END = re.compile(r'(?:(?<!\\)|(?<=\\\\))"[ \t\r\n]*:')


def count_key_ends(data: bytes) -> int:
    """How many keys the bytes of rows seem to have: places with a quotation mark before a colon.

    None is in the first two bytes of a row. White space may stand between the two. A quotation mark behind one
    backslash is part of a text. Behind several it may be either, and is taken for an end, as white space of more than
    one character is: one too many makes the rows be looked at closely, where one too few might hide a key that stands
    twice.
    """
    values = np.frombuffer(data, np.uint8)
    place = np.flatnonzero(values[3:] == COLON) + 2
    place -= values[place] <= SPACE  # some write a space before the colon
    before = values[place]
    ends = (before == QUOTE) & ((values[place - 1] != BACKSLASH) | (values[place - 2] == BACKSLASH))
    return int(np.count_nonzero(ends | (before <= SPACE)))


def count_key_ends_of(text: str) -> int:
    """The same for one JSON text, which is mostly too short for what takes its time to begin."""
    if " :" in text or "\t:" in text or "\n:" in text or "\r:" in text:
        return len(KEY_END.findall(text))
    ends = text.count('":')
    return ends - text.count('\\":') + text.count('\\\\":') if "\\" in text else ends


def count_keys(row: dict[str, Any] | list[Any]) -> int:
    """How many keys all objects of a row, or of a list, have together."""
    count, values = (len(row), row.values()) if type(row) is dict else (0, row)
    pending = [value for value in values if type(value) in NESTED]
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
        _look_closely(data, "")


def refuse_duplicates(text: str, value: Any, place: str) -> None:
    """
    Args:
        text: JSON that stands as a text inside a row.
        value: what it says.
        place: where it stands, for the message.

    Raises:
        InvalidRow: duplicate_keys, with the key.
        RecursionError: it is nested deeper than Python's parser goes.
    """
    if type(value) in NESTED and count_key_ends_of(text) != count_keys(value):
        _look_closely(text, f"{place}: ")


def _look_closely(data: str | bytes, before: str) -> None:
    def refuse_twice(pairs: list[tuple[str, Any]]) -> None:
        keys = [key for key, _ in pairs]
        if len(set(keys)) != len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            said = f"{before}an object has the key {quoted(twice)} twice; one of its values would be lost"
            raise InvalidRow(Reason.DUPLICATE_KEYS, said)

    json.loads(data, object_pairs_hook=refuse_twice, parse_int=str, parse_float=str)
