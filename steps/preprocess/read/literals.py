"""NaN and Infinity, which Python's json.dumps writes and JSON does not have: null, as in Parquet.

Inside a tool, a call of one or a row's template arguments they are refused: they would change what is called, or given.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from steps.preprocess.rows.reasons import InvalidRow, Reason

LITERAL = re.compile(rb'"(?:[^"\\]++|\\.)*+"|(-?\bInfinity\b|\bNaN\b)')  # or a text, which may say it too
CALLING = re.compile(
    rb'"(?:tools|tool_calls|functions?|function_call|arguments|args|parameters|toolConfig|chat_template_kwargs)"'
)
CALLING_KEYS = frozenset(("tools", "tool_calls", "function", "functions", "function_call", "arguments", "args",
                          "parameters", "toolConfig", "chat_template_kwargs"))  # fmt: skip
MARK = "\ue000not a number\ue000"  # stands for a literal, in a place that is looked for


def loads(data: bytes) -> Any:
    """What `orjson.loads` gives, with null for NaN and Infinity.

    Raises:
        orjson.JSONDecodeError: it is not JSON for another reason.
        InvalidRow: not_json where such a literal stands in a tool, a call or template arguments.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if b"NaN" not in data and b"Infinity" not in data:
            raise
        try:
            value = orjson.loads(_replaced(data, b"null"))
        except orjson.JSONDecodeError:
            raise error from None
    if CALLING.search(data):
        _refuse_in_calls(orjson.loads(_replaced(data, orjson.dumps(MARK))))
    return value


def _replaced(data: bytes, literal: bytes) -> bytes:
    return LITERAL.sub(lambda found: literal if found[1] else found[0], data)


def _refuse_in_calls(value: Any) -> None:
    pending = [(value, "")]
    while pending:
        entry, inside = pending.pop()
        if entry == MARK and inside:
            raise InvalidRow(Reason.NOT_JSON, f"NaN or Infinity in {inside}, which JSON has no value for")
        if isinstance(entry, dict):
            pending += [(inner, inside or (key if key in CALLING_KEYS else "")) for key, inner in entry.items()]
        elif isinstance(entry, list):
            pending += [(inner, inside) for inner in entry]
