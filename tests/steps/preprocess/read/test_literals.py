"""NaN and Infinity: null where they are data, refused where they would change a call."""

from __future__ import annotations

import json
import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.preprocess.read.literals import loads
from steps.preprocess.rows.reasons import InvalidRow


def test_literals_are_null_and_texts_that_say_them_stay():
    row = {"a": math.nan, "b": [math.inf, -math.inf, 1.5], "c": 'is NaN, "NaN": -Infinity'}
    assert loads(json.dumps(row).encode()) == {"a": None, "b": [None, None, 1.5], "c": row["c"]}


@pytest.mark.parametrize(
    "key",
    [
        *("arguments", "parameters", "tools", "args", "available_tools", "input_schema", "inputSchema", "toolCalls"),
        "chat_template_kwargs",
    ],
)
def test_a_literal_in_a_call_is_refused(key):
    with pytest.raises(InvalidRow) as error:
        loads(json.dumps({"score": math.nan, "chosen": [{key: {"x": [math.inf]}}]}).encode())
    assert (error.value.code, str(error.value)) == (
        "not_json",
        f"NaN or Infinity in {key}, which JSON has no value for",
    )
    assert loads(json.dumps({"score": math.nan, "chosen": [{key: {"x": 1}}]}).encode())["score"] is None


@pytest.mark.parametrize(
    ("turn", "inside"),
    [
        ({"content": [{"type": "tool_use", "name": "f", "input": {"x": math.nan}}]}, "input"),
        ({"content": [{"toolUse": {"name": "f", "input": {"x": math.nan}}}]}, "toolUse"),
        ({"content": [{"toolResult": {"content": [{"json": {"x": math.nan}}]}}]}, "toolResult"),
        ({"content": [{"type": "tool_result", "content": {"x": [math.inf]}}]}, "the content of a tool"),
        ({"role": "tool", "content": {"x": math.nan}}, "the content of a tool"),
        ({"from": " Observation", "value": {"x": math.nan}}, "the value of a tool"),
    ],
)
def test_a_literal_in_a_call_or_a_result_of_any_service_is_refused(turn, inside):
    with pytest.raises(InvalidRow, match=f"^NaN or Infinity in {inside}, which JSON has no value for$"):
        loads(json.dumps({"messages": [turn]}).encode())


def test_a_literal_beside_a_conversation_or_a_turn_is_data():
    row = {"input": {"messages": [{"role": "tool", "content": "3", "weight": math.nan}], "score": math.nan}}
    assert loads(json.dumps(row).encode())["input"]["score"] is None


@pytest.mark.parametrize("text", ['{"a": NaNa}', "{NaN: 1}", '{"a": NaN', '{"a": +Infinity}', '{"a": "NaN}'])
def test_what_is_damaged_beside_stays_damaged(text):
    with pytest.raises(orjson.JSONDecodeError):
        loads(text.encode())


VALUES = st.recursive(
    st.none() | st.floats() | st.text('Nan"\\Infinity,: ', max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "NaN", "b"]), inner, max_size=3),
    max_leaves=12,
)


@given(VALUES)
def test_what_json_dumps_writes_is_read_with_null(value):
    assert loads(json.dumps(value).encode()) == json.loads(json.dumps(value), parse_constant=lambda _: None)
