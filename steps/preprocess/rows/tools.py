"""A row's tools in one form: `{"type": "function", "function": {…}}`, with JSON-schema types.

Accepts tools as objects or JSON text; what one of them may look like, tool_schema.py knows.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from steps.preprocess.rows.json_texts import loads
from steps.preprocess.rows.json_values import kind, may_have_lost_digits, refuse_nul
from steps.preprocess.rows.reasons import InvalidRow, Reason
from steps.preprocess.rows.tool_schema import normal_tool, unread_of
from steps.shared.records import tool_digest, tools_digest

EXPONENT = b"e+"  # of a large number, as orjson writes a float
TOOLS_KEPT = 512
DECLARATIONS_KEPT = 64  # rows share their tools with those near them; to keep more made no difference on real data


class Declared(NamedTuple):
    """The tools that a row declares.

    Attributes:
        text: their JSON in the one form; None where the row declares none.
        digest: 32 bytes that identify them.
        required: the names of each tool's required arguments, by the tool's name.
        unread: what stands beside a tool and nothing reads, by its place in the row.
        large: whether a number in there may have lost digits when it was parsed.
    """

    text: bytes | None
    digest: bytes
    required: dict[str, list[Any]]
    unread: dict[str, Any]
    large: bool


class ToolReader:
    """Reads the tools of one row after another, and remembers those of some rows before: most rows declare the same."""

    def __init__(self) -> None:
        self._of_row = lru_cache(DECLARATIONS_KEPT)(self._read)
        self._of_text = lru_cache(TOOLS_KEPT)(_tool_of_text)
        # The texts of the row before and what they declare: mostly this row's too, which to see takes less than a hash.
        self._last_texts: list[str] = []
        self._last_declared = self._of_row(None)

    def declare(self, value: Any) -> Declared:
        """The tools of a row: `value` is what the row has for them.

        Raises:
            InvalidRow: something in there is not a function with a JSON-schema description of its parameters.
        """
        if not value:
            return self._of_row(None)
        if type(value) is list and set(map(type, value)) == {str}:
            if self._last_texts != value:
                self._last_declared = self._of_row(tuple(value))
                self._last_texts = value
            return self._last_declared
        return self._of_row(value if isinstance(value, str) else orjson.dumps(value))

    def _read(self, given: str | bytes | tuple[str, ...] | None) -> Declared:
        """`given` is text as the row has it, several such texts, or the JSON of what is no text."""
        tools = _listed(orjson.loads(given) if isinstance(given, bytes) else given)
        if tools is None:
            return Declared(None, tools_digest(()), {}, {}, False)
        declared = [self._tool(tool, f"tools[{index}]") for index, tool in enumerate(tools)]
        return Declared(
            b"[" + b",".join(tool.text for tool in declared) + b"]",
            tools_digest(tool.digest for tool in declared),
            {tool.name: tool.required for tool in declared},
            {f"tools[].{key}": entry for tool in declared for key, entry in tool.unread.items()},
            any(tool.large for tool in declared),
        )

    def _tool(self, tool: Any, where: str) -> _Tool:
        if not isinstance(tool, str):
            return _normalised(tool, where)
        try:
            return self._of_text(tool)
        except InvalidRow:  # once more, to say where
            return _normalised(_loads(tool, where), where)


def declare(value: Any) -> Declared:
    """The tools of one row, as ToolReader reads them; raises as its `declare` does."""
    return ToolReader().declare(value)


def _listed(value: Any) -> list[Any] | tuple[Any, ...] | None:
    """The tools, one by one and as the row has them; None where it declares none."""
    if isinstance(value, str):
        value = _loads(value, "tools") if value.strip() else None
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list | tuple | None):
        raise InvalidRow(Reason.TOOLS_INVALID, f"tools is {kind(value)}; must be a list of functions")
    return value or None


def _loads(text: str, where: str) -> Any:
    try:
        return loads(text, where)
    except orjson.JSONDecodeError as error:
        raise InvalidRow(Reason.TOOLS_INVALID, f"{where} is a text that is not JSON: {error}") from None


class _Tool(NamedTuple):
    name: str
    text: bytes
    digest: bytes
    required: list[Any]
    unread: dict[str, Any]
    large: bool


def _tool_of_text(text: str) -> _Tool:
    return _normalised(_loads(text, "a tool"), "a tool")


def _normalised(tool: Any, where: str) -> _Tool:
    value = normal_tool(tool, where)
    text = orjson.dumps(value)
    if b"\\u0000" in text:
        refuse_nul(value)
    function = value["function"]
    required = function["parameters"].get("required", [])
    large = EXPONENT in text and may_have_lost_digits(value)
    return _Tool(function["name"], text, tool_digest(text), required, unread_of(tool), large)
