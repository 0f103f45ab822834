"""Gemma 4's notation: bare keys, and a token in place of quotation marks."""

from __future__ import annotations

import pytest

from steps.shared.calls.call import Call
from steps.shared.calls.parsers import parse

Q = '<|"|>'


def call(arguments: str, name: str = "f") -> str:
    return f"<|tool_call>call:{name}{{{arguments}}}<tool_call|>"


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ("", {}),
        (f"city:{Q}Oslo{Q}", {"city": "Oslo"}),
        (f"city:{Q}a,b}}]:{{{Q},days:3", {"city": "a,b}]:{", "days": 3}),
        ("x:-2.5,y:1e3,z:007", {"x": -2.5, "y": 1000, "z": 7}),
        ("a:true,b:false,c:null,d:None", {"a": True, "b": False, "c": None, "d": None}),
        (f"o:{{{Q}a b{Q}:[1,[],{{}}]}},l:[{Q}x{Q}, {Q}y{Q}]", {"o": {"a b": [1, [], {}]}, "l": ["x", "y"]}),
        ("city: Oslo , n: 1", {"city": "Oslo", "n": 1}),
    ],
)
def test_arguments_are_read(arguments: str, found: dict[str, object]) -> None:
    assert parse("gemma4", call(arguments)).calls == (Call("f", found),)


def test_calls_stand_one_after_the_other_behind_what_is_said() -> None:
    parsed = parse("gemma4", f"I look.{call('', 'a.b-c')}{call('n:1')}")
    assert parsed.calls == (Call("a.b-c", {}), Call("f", {"n": 1})) and parsed.content == "I look."
    assert parse("gemma4", "call:f{}").calls == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<|tool_call>f{}<tool_call|>", "the call has no name"),
        (call(f"a:{Q}x"), "a string of its arguments is not closed"),
        ("<|tool_call>call:f{a:1<tool_call|>", "its arguments are not closed"),
        ("<|tool_call>call:f{a:[1<tool_call|>", "its arguments are not closed"),
        (call("a:]"), "its arguments are not closed"),
        (call(f"{Q}a{Q} 1"), "a key of its arguments has no value"),
        (call("a:" + "[" * 100), "its arguments are nested more than 64 deep"),
        (call("a:1e999"), "its arguments hold what JSON cannot say"),
    ],
)
def test_a_call_that_begins_and_cannot_be_read_is_told_with_its_reason(text: str, why: str) -> None:
    parsed = parse("gemma4", text)
    assert (parsed.calls, parsed.content, parsed.broken) == ((), text, why)
