"""The calls of an answer, and what is wrong with each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from steps.answer.calls import Calls, Marked, calls_of, lines

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]


def called(name: str, arguments: Any) -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


@pytest.mark.parametrize(
    ("name", "arguments", "mark"),
    [
        ("get_weather", {"city": "Lima"}, None),
        ("get_wether", {"city": "Lima"}, "get_wether is not declared: the tools are get_weather"),
        ("get_weather", {"days": 2}, "the arguments of get_weather do not fit its schema: lacks city"),
        ("get_weather", {"city": 1, "x": 2},
         "the arguments of get_weather do not fit its schema: does not know x; does not allow the value of city"),
        ("get_weather", [], "the arguments of get_weather do not fit its schema: they are no object"),
        ("a\x1b[2J", {}, "a[U+001B][2J is not declared: the tools are get_weather"),
    ],
)  # fmt: skip
def test_each_fault_is_a_mark_with_its_reason(name: str, arguments: Any, mark: str | None) -> None:
    (call,) = calls_of(called(name, arguments), TOOLS, "hermes").calls
    assert (call.name, call.arguments, call.marks) == (name, arguments, (mark,) if mark else ())


def test_a_call_is_marked_where_no_tool_is_declared() -> None:
    (call,) = calls_of(called("f", {}), None, "hermes").calls
    assert call.marks == ("f is not declared: there are no tools",)


def test_what_cannot_be_judged_or_read_is_said() -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "nothing"}}}]
    (call,) = calls_of(called("f", {}), tools, "hermes").calls
    assert call.marks == ("the arguments of f cannot be judged: its schema is none (type breaks anyOf of JSON schema)",)
    assert calls_of("<tool_call>{</tool_call>", tools, "hermes").broken
    assert calls_of(called("f", {}), tools, None) == Calls((), None)


def test_a_person_sees_calls_with_their_marks_below() -> None:
    shown = lines(Calls((Marked("f", {"a": "ü\x1b"}, ("is wrong",)), Marked("g", {}, ())), None))
    assert shown == ['call: f {"a": "ü\\u001b"}', "! is wrong", "call: g {}"]
    assert lines(Calls((), "it is cut")) == ["! a call that cannot be read: it is cut"]
    assert lines(Calls((), None)) == []
