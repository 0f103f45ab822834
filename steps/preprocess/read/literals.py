"""NaN and Infinity, which Python's json.dumps writes and JSON does not have: null, as in Parquet.

Inside a tool, a call of one, its result or a row's template arguments they are refused: they would change what is
called, what came back, or what is given.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from steps.preprocess.rows.messages import ROLES
from steps.preprocess.rows.reasons import InvalidRow, Reason

LITERAL = re.compile(rb'"(?:[^"\\]++|\\.)*+"|(-?\bInfinity\b|\bNaN\b)')  # or a text, which may say it too
CALLING_KEYS = frozenset(
    (
        *("tools", "functions", "available_tools", "toolConfig", "function", "toolSpec", "input_schema", "inputSchema"),
        *("tool_calls", "function_call", "tool_call", "function_calls", "toolCalls", "toolUse", "toolResult"),
        *("arguments", "args", "parameters", "chat_template_kwargs"),
    )
)
INPUT = "input"  # of a call, which has a name; elsewhere a text, or what wraps a conversation
RESULTS = ("content", "value")  # of a tool's turn or block
RESULT_TYPES = ("tool_result", *(spoken for spoken, role in ROLES.items() if role == "tool"))
CALLING = re.compile(rf'"\s*(?:{"|".join((*CALLING_KEYS, INPUT, *RESULT_TYPES))})\s*"'.encode(), re.IGNORECASE)
MARK = "\ue000not a number\ue000"  # stands for a literal, in a place that is looked for


def loads(data: bytes) -> Any:
    """What `orjson.loads` gives, with null for NaN and Infinity.

    Raises:
        orjson.JSONDecodeError: it is not JSON for another reason.
        InvalidRow: not_json where such a literal stands in a tool, a call, a result or template arguments.
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
            pending += [(inner, inside or _inside(key, entry)) for key, inner in entry.items()]
        elif isinstance(entry, list):
            pending += [(inner, inside) for inner in entry]


def _inside(key: str, entry: dict[str, Any]) -> str:
    """The key of an object where what it holds is of a tool; else nothing."""
    if key in CALLING_KEYS or (key == INPUT and "name" in entry):
        return key
    if key in RESULTS:
        spoken = (entry.get(name) for name in ("role", "from", "type"))
        if any(isinstance(said, str) and said.strip().lower() in RESULT_TYPES for said in spoken):
            return f"the {key} of a tool"
    return ""
