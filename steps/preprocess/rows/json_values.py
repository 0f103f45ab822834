"""JSON values of any kind: what one is in words, and the character that none may hold."""

from __future__ import annotations

from typing import Any

from steps.preprocess.rows.reasons import InvalidRow, Reason


def kind(value: Any) -> str:
    """What a JSON value is, in words, for a message."""
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return names[type(value)]


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
