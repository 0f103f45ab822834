"""Every value of a row is in its record, is noted as unread, or the row has a reason."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.preprocess.layouts.formats import detect
from steps.preprocess.read.sources import RawRow
from steps.preprocess.rows.messages import READ
from steps.preprocess.rows.notes import new_notes
from steps.preprocess.rows.reasons import InvalidRow
from steps.preprocess.rows.rules import Rules
from steps.preprocess.rows.tools import declare
from steps.preprocess.shards.convert import Layout, convert
from steps.shared.records import decode
from tests.steps.preprocess.converting import SCHEMA

PLANTED = "a value that was planted"
FUNCTION = {"name": "f", "description": "d", "parameters": SCHEMA}
CALL = {"id": "c", "type": "function", "index": 0, "function": {"name": "f", "arguments": {"city": "Oslo"}}}
BLOCKS = [
    {"type": "thinking", "thinking": "Hm."},
    {"type": "text", "text": "I look."},
    {"type": "tool_use", "id": "t", "name": "f", "input": {"city": "Oslo"}},
]
ROW = {
    "prompt": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
        {"role": "assistant", "content": BLOCKS},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": {"celsius": 3}}]},
    ],
    "chosen": [
        {"role": "assistant", "content": "Once more.", "tool_calls": [CALL], "refusal": None, "annotations": []},
        {"role": "tool", "tool_call_id": "c", "content": {"celsius": 4}},
        {"role": "assistant", "content": "4.", "reasoning": "Hm."},
    ],
    "rejected": [{"from": "gpt", "value": "", "tool_calls": [{"name": "f", "args": {"city": "Rome"}}]}],
    "tools": [{"type": "function", "function": FUNCTION}, {"name": "g", "input_schema": SCHEMA}],
}
KEYS = (
    *sorted(READ),
    *("weight", "input", "args", "kwargs", "parameters", "arguments", "input_schema", "type", "text", "id", "image"),
    *("function", "strict", "cache_control", "citations", "signature", "is_error", "index", "audio", "required"),
)
VALUES = st.sampled_from([PLANTED, [PLANTED], {"k": PLANTED}, [{"type": "text", "text": PLANTED}], {"type": PLANTED}])


def objects(value: Any) -> list[dict[str, Any]]:
    found = [value] if isinstance(value, dict) else []
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        found += objects(inner)
    return found


def unread_of(row: dict[str, Any]) -> dict[str, Any]:
    notes = new_notes(keep_faulty_calls=False)
    detect(row).read(row, notes)
    return notes.unread | declare(row["tools"]).unread


def test_the_row_is_sound_and_what_it_leaves_unread_is_known() -> None:
    convert(RawRow("f", 1, json.dumps(ROW).encode()), Layout(None), Rules())
    assert unread_of(ROW) == {"chosen[].tool_calls[].index": 0, "chosen[].annotations": []}


@given(st.data(), st.sampled_from(KEYS), VALUES)
def test_a_value_planted_anywhere_is_read_noted_or_refused(data: st.DataObject, key: str, value: Any) -> None:
    row = copy.deepcopy(ROW)
    inner = [found for name in ("prompt", "chosen", "rejected", "tools") for found in objects(row[name])]
    data.draw(st.sampled_from(inner))[key] = value
    try:
        record = decode(convert(RawRow("f", 1, json.dumps(row).encode()), Layout(None), Rules()).record)
    except InvalidRow:
        return
    kept = json.dumps([record.prompt, record.chosen, record.rejected, record.tools])
    assert PLANTED in kept or PLANTED in json.dumps(unread_of(row))


@pytest.mark.parametrize(
    ("turn", "unread"),
    [
        ({"role": "assistant", "content": "a", "weight": 0}, {"chosen[].weight": 0}),
        ({"role": "assistant", "content": "a", "refusal": "No."}, {"chosen[].refusal": "No."}),
        ({"role": "assistant", "content": "a", "from": "me"}, {"chosen[].from": "me"}),
        ({"role": "assistant", "content": "a", "name": 5}, {"chosen[].name": 5}),
        (
            {"role": "assistant", "content": "a", "reasoning": "x", "thinking": "y", "reasoning_content": "x"},
            {"chosen[].thinking": "y"},
        ),
    ],
)
def test_what_a_turn_says_and_nothing_reads_is_named(turn: dict, unread: dict) -> None:
    row = {"prompt": [{"role": "user", "content": "q"}], "chosen": [turn], "rejected": "b", "tools": None}
    assert unread_of(row) == unread


def test_what_stands_beside_a_result_or_inside_a_function_is_named() -> None:
    row = copy.deepcopy(ROW)
    row["prompt"][3]["name"] = "ann"
    row["chosen"][0]["tool_calls"][0]["function"]["id"] = "inner"
    del row["chosen"][0]["annotations"]
    assert unread_of(row) == {
        "prompt[].name": "ann", "chosen[].tool_calls[].index": 0, "chosen[].tool_calls[].function.id": "inner"
    }  # fmt: skip
