"""Calls are the same or not: numbers, texts, defaults, and any order of keys and of calls."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.shared.calls.call import Call
from steps.shared.calls.compare import compare
from tests.steps.shared.calls.test_call import VALUES
from tests.steps.shared.calls.written import tool

UNIT = {"type": "string", "default": "C"}
TOOLS = [
    tool(
        "get_weather",
        {
            "city": {"type": "string"},
            "days": {"type": "number"},
            "unit": UNIT,
            "where": {"type": "object", "properties": {"unit": UNIT, "at": {}}, "required": ["at"]},
            "stops": {"type": "array", "items": {"type": "object", "properties": {"unit": UNIT}}},
        },
        required=["city"],
    ),
    tool("list_harbours", {}),
    tool("flag", {"on": {"default": True}, "must": {"default": 1}}, required=["must"]),
]


def weather(**arguments: Any) -> Call:
    return Call("get_weather", arguments)


OSLO, BERGEN, LIST = weather(city="Oslo"), weather(city="Bergen"), Call("list_harbours", {})


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ([], []),
        ([OSLO], [OSLO]),
        ([OSLO, BERGEN, LIST], [LIST, BERGEN, OSLO]),
        ([OSLO, OSLO], [OSLO, OSLO]),
        ([weather(city="Oslo", days=1)], [weather(days=1.0, city="Oslo")]),
        ([weather(city="Oslo")], [weather(city=" Oslo\n")]),
        ([weather(city="Oslo")], [weather(city="Oslo", unit="C")]),
        ([weather(city="Oslo", unit="C ")], [weather(city="Oslo")]),
        ([weather(city="Oslo", where={"at": 0})], [weather(city="Oslo", where={"unit": "C", "at": -0.0})]),
        (
            [weather(city="Oslo", stops=[{}, {"unit": "F"}])],
            [weather(city="Oslo", stops=[{"unit": "C"}, {"unit": "F"}])],
        ),
        ([weather(city="Oslo", days=10**22)], [weather(city="Oslo", days=1e22)]),
        ([Call("flag", {"must": 2})], [Call("flag", {"must": 2, "on": True})]),
    ],
)
def test_the_same_calls_are_right_in_either_place(expected: list[Call], said: list[Call]) -> None:
    for one, other in ((expected, said), (said, expected)):
        found = compare(one, other, TOOLS)
        assert (found.same_number, found.names, found.arguments, found.right) == (True, True, True, True)


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        (OSLO, BERGEN),
        (OSLO, weather(city="oslo")),
        (OSLO, weather()),
        (OSLO, weather(city="Oslo", days=None)),
        (OSLO, weather(city="Oslo", unit="F")),
        (weather(city="Oslo", days=1), weather(city="Oslo", days=True)),
        (weather(city="Oslo", days=1), weather(city="Oslo", days="1")),
        (weather(city="Oslo", days=2**53 + 1), weather(city="Oslo", days=float(2**53))),
        (weather(city="Oslo", stops=[1, 2]), weather(city="Oslo", stops=[2, 1])),
        (weather(city="Oslo", stops=[]), weather(city="Oslo", stops={})),
        (Call("flag", {"must": 1}), Call("flag", {})),
        (Call("flag", {}), Call("flag", {"on": 1})),
        (Call("flag", {"must": 1}), Call("flag", "must")),
    ],
)
def test_other_arguments_are_wrong_in_either_place(expected: Call, said: Call) -> None:
    for one, other in ((expected, said), (said, expected)):
        found = compare([one], [other], TOOLS)
        assert (found.same_number, found.names, found.arguments, found.right) == (True, True, False, False)


@pytest.mark.parametrize(
    ("expected", "said", "found"),
    [
        ([OSLO], [], (False, False, False, False)),
        ([], [OSLO], (False, False, True, False)),
        ([OSLO], [LIST], (True, False, False, False)),
        ([OSLO], [OSLO, LIST], (False, False, True, False)),
        ([OSLO], [OSLO, OSLO], (False, False, True, False)),
        ([OSLO, OSLO], [OSLO, BERGEN], (True, True, False, False)),
    ],
)
def test_number_names_and_arguments_are_judged_each_for_itself(
    expected: list[Call], said: list[Call], found: tuple[bool, ...]
) -> None:
    made = compare(expected, said, TOOLS)
    assert (made.same_number, made.names, made.arguments, made.right) == found


def test_undeclared_tools_are_named_once_and_no_call_of_one_is_valid() -> None:
    found = compare([OSLO], [Call("b", {}), OSLO, Call("a", {}), Call("b", {})], TOOLS)
    assert found.undeclared == ("b", "a") and found.valid is False


def test_a_call_is_valid_by_its_schema_whatever_was_expected() -> None:
    assert compare([OSLO], [BERGEN, LIST], TOOLS).valid is True
    assert compare([OSLO], [weather(city=5)], TOOLS).valid is False
    assert compare([OSLO], [Call("get_weather", "Oslo")], TOOLS).valid is False
    assert compare([OSLO], [], TOOLS).valid is True


def test_a_schema_that_is_none_leaves_open_whether_a_call_is_valid() -> None:
    tools = [tool("f", {"a": {"type": "text"}}), tool("g", {})]
    assert compare([], [Call("f", {})], tools).valid is None
    assert compare([], [Call("g", {})], tools).valid is True
    assert compare([], [Call("f", {}), Call("h", {})], tools).valid is False


CALLS = st.lists(st.builds(Call, st.sampled_from(["get_weather", "flag", "x"]), VALUES), max_size=4)


@given(CALLS, st.randoms())
def test_calls_are_the_same_as_themselves_in_any_order(calls: list[Call], random: Any) -> None:
    other = random.sample(calls, len(calls))
    assert compare(calls, other, TOOLS).right


@given(CALLS, CALLS)
def test_sides_can_be_exchanged(one: list[Call], other: list[Call]) -> None:
    assert compare(one, other, TOOLS).right == compare(other, one, TOOLS).right


def test_what_no_answer_can_say_is_the_same_as_itself_alone() -> None:
    deep: Any = "x"
    for _ in range(900):
        deep = [deep]
    assert compare([weather(city=deep)], [weather(city=deep)], TOOLS).right
    assert not compare([weather(city=deep)], [weather(city=deep[0][0][0])], TOOLS).valid
