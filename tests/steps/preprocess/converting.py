"""Rows through the conversion, as the tests of messages, calls, tools and texts need them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from steps.preprocess.read.sources import RawRow
from steps.preprocess.rows.reasons import InvalidRow
from steps.preprocess.rows.rules import Rules
from steps.preprocess.shards.convert import ConvertedRow, Layout, convert
from steps.shared.records import Record, decode

ASKED = [{"role": "user", "content": "Weather in Oslo?"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": "f", "description": "", "parameters": SCHEMA}}]


def converted(row: dict[str, Any] | str, **rules: Any) -> ConvertedRow:
    """What a row becomes, given as an object or as its JSON."""
    data = row if isinstance(row, str) else json.dumps(row)
    return convert(RawRow("file", 1, data.encode()), Layout(None), Rules(**rules))


def record_of(row: dict[str, Any] | str, **rules: Any) -> Record:
    return decode(converted(row, **rules).record)


def refused(row: dict[str, Any] | str, **rules: Any) -> tuple[str, str]:
    """The code and the sentence with which a row is refused."""
    with pytest.raises(InvalidRow) as error:
        converted(row, **rules)
    return str(error.value.code), str(error.value)


def calling(*calls: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": "", "tool_calls": list(calls)}]


def arguments_of(row: dict[str, Any], side: str = "chosen") -> list[dict[str, Any]]:
    """The arguments of each call that an answer makes."""
    messages = getattr(record_of(row), side)
    return [call["function"]["arguments"] for message in messages for call in message.get("tool_calls", [])]
