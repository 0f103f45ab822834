"""JSON in calls: what it can say is read, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.shared.calls.call import DEEPEST, Call, Unreadable, call_of, checked, named, read_json, read_json_at

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(
        st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)  # fmt: skip


@given(VALUES, st.sampled_from(["", " ", "\n\t"]))
def test_every_json_value_is_read(value: Any, blank: str) -> None:
    assert read_json(f"{blank}{json.dumps(value)}{blank}") == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the call is not JSON (Expecting value)"),
        ("{'a': 1}", "the call is not JSON (Expecting property name enclosed in double quotes)"),
        ('{"a": 1', "the call is not JSON (Expecting ',' delimiter)"),
        ('{"a": 1} and more', "text follows the call's JSON"),
        ('{"a": NaN}', "the call is not JSON (a number is no JSON)"),
        ('{"a": 1e999}', "its arguments hold what JSON cannot say"),
        (f'{{"a": {"9" * 5000}}}', "the call is not JSON (a number is no JSON)"),
        (r'{"a": "\ud800"}', "its arguments hold what JSON cannot say"),
        ("[" * 100 + "]" * 100, f"its arguments are nested more than {DEEPEST} deep"),
        ("[" * 100_000, "the call is not JSON (nested too deep)"),
    ],
)
def test_what_is_no_json_says_why_and_quotes_nothing_of_it(text: str, why: str) -> None:
    with pytest.raises(Unreadable) as error:
        read_json(text)
    assert str(error.value) == why


def test_a_value_is_read_where_it_stands() -> None:
    assert read_json_at('say {"a": 1}; {', 4) == ({"a": 1}, 12)


def test_depth_is_counted_in_objects_and_arrays() -> None:
    deepest: Any = 1
    for _ in range(DEEPEST):
        deepest = {"a": 1, "b": deepest}
    assert checked(deepest) is deepest
    with pytest.raises(Unreadable):
        checked([deepest])


def test_what_python_has_and_json_has_not_is_refused() -> None:
    for value in (b"a", {1, 2}, 1j, ..., float("inf")):
        with pytest.raises(Unreadable):
            checked({"a": value})


def test_a_call_has_a_name_and_arguments_by_the_first_key_that_is_there() -> None:
    assert call_of({"name": " f ", "parameters": {"a": 1}}, "arguments", "parameters") == Call("f", {"a": 1})
    assert named("f", {}) == Call("f", {})


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ([], "the call is no object"),
        ({"arguments": {}}, "the call has no name"),
        ({"name": 5, "arguments": {}}, "the call has no name"),
        ({"name": "f"}, "the call has no arguments or parameters"),
    ],
)
def test_what_is_no_call_says_why(value: Any, why: str) -> None:
    with pytest.raises(Unreadable) as error:
        call_of(value, "arguments", "parameters")
    assert str(error.value) == why
