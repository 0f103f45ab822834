"""JSON values of any kind: what one is in words, and what none may hold: a NUL character, a number that lost digits."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

from steps.preprocess.rows.reasons import InvalidRow, Reason

FITS = 2**63  # whole numbers below fit into 64 bits, whatever their sign; what does not, orjson reads as a float


def kind(value: Any) -> str:
    """What a JSON value is, in words, for a message."""
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return names[type(value)]


def finite(value: Any) -> float | None:
    """A finite number, or the text of one, as tables have it; None for anything else."""
    if isinstance(value, int | float | str):
        with contextlib.suppress(ValueError, OverflowError):
            if math.isfinite(found := float(value)):
                return found
    return None


def refuse_nul(value: Any) -> None:
    """Raises InvalidRow where a text in the value holds a NUL character, which JSON writes as `\\u0000`."""
    pending = [value]
    while pending:
        entry = pending.pop()
        if isinstance(entry, str) and "\0" in entry:
            raise InvalidRow(Reason.NUL_BYTE, "a text holds a NUL character (\\u0000)")
        if isinstance(entry, dict):
            pending += [*entry, *entry.values()]
        elif isinstance(entry, list | tuple):
            pending += entry


def may_have_lost_digits(value: Any) -> bool:
    """Whether a value that orjson parsed holds a float that may have been a whole number beyond 64 bits."""
    pending = [value]
    while pending:
        entry = pending.pop()
        if type(entry) is float:
            if not -FITS < entry < FITS:
                return True
        elif type(entry) is dict:
            pending += entry.values()
        elif type(entry) is list:
            pending += entry
    return False


def refuse_lost_digits(data: str | bytes, place: str) -> None:
    """Look for whole numbers beyond 64 bits in JSON, a row's or a call's, and in the JSON texts that it holds. Slow.

    Args:
        place: where such a number was seen, for the message.

    Raises:
        InvalidRow: number_too_large. A number with a point or an exponent (1e30) is a float, and lost nothing.
    """

    def whole(text: str) -> int:
        value = int(text[:30])  # Python refuses to read thousands of digits, and none beyond these matters
        if not -FITS <= value < 2 * FITS:
            said = f"{place} holds {text}, which has more than 64 bits and would be rounded; write it as a text"
            raise InvalidRow(Reason.NUMBER_TOO_LARGE, said)
        return value

    pending = [json.loads(data, parse_int=whole)]
    while pending:
        entry = pending.pop()
        if isinstance(entry, str) and entry.lstrip()[:1] in ("[", "{"):
            with contextlib.suppress(json.JSONDecodeError):  # a text that only begins like JSON
                pending.append(json.loads(entry, parse_int=whole))
        elif isinstance(entry, dict):
            pending += entry.values()
        elif isinstance(entry, list):
            pending += entry
