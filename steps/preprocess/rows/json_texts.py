"""JSON that stands as a text inside a row: arguments, tools, columns. One loader, so that none loses a key unseen."""

from __future__ import annotations

from typing import Any

import orjson

from steps.preprocess.rows.json_keys import refuse_duplicates
from steps.preprocess.rows.json_values import may_have_lost_digits, refuse_lost_digits


def loads(text: str, place: str) -> Any:
    """What `orjson.loads` gives.

    Args:
        place: where the text stands, for a message.

    Raises:
        orjson.JSONDecodeError: it is not JSON.
        InvalidRow: duplicate_keys.
        RecursionError: it is nested deeper than Python's parser goes, and may have a key twice.
    """
    value = orjson.loads(text)
    refuse_duplicates(text, value, place)
    return value


def loads_exactly(text: str, place: str) -> Any:
    """What `loads` gives, where no whole number may have lost digits.

    Raises:
        orjson.JSONDecodeError: it is not JSON.
        InvalidRow: duplicate_keys or number_too_large.
        RecursionError: as `loads` does.
    """
    value = loads(text, place)
    if may_have_lost_digits(value):
        refuse_lost_digits(text, place)
    return value
