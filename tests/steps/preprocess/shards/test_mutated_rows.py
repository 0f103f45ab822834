"""Rows with anything anywhere: each becomes a record, or is refused with a reason; none ends the step."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.preprocess.rows.raw_row import RawRow
from steps.preprocess.rows.reasons import InvalidRow, Reason
from steps.preprocess.rows.rules import Rules
from steps.preprocess.shards.convert import Layout, convert_all
from steps.preprocess.shards.parse import parsed
from steps.preprocess.shards.record import ConvertedRow, Recorder
from tests.steps.preprocess.converting import ASKED, TOOLS, calling

ROW = {
    "prompt": [{"role": "system", "content": "s"}, *ASKED],
    "chosen": [*calling({"id": "c", "function": {"name": "f", "arguments": '{"city": "Oslo"}'}})],
    "rejected": [{"role": "assistant", "content": [{"type": "text", "text": "no"}], "reasoning": "r"}],
    "tools": TOOLS,
    "chat_template_kwargs": {"a": 1},
    "score_chosen": 2,
    "score_rejected": "1",
}
ODD: list[Any] = [None, True, -1, 1e308, "", "\0", "[", "{}", '{"a": 1, "a": 2}', [], {}, [None], {"": None}, "x" * 999]
ODD += [{"type": "image"}, [{"role": "user", "content": 1}], {"name": 1}, {"type": ["str", ["int"]]}, "List[List[int]]"]


def nested(depth: int, key: str) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {key: value} if key else [value]
    return value


def outcomes(data: bytes) -> list[ConvertedRow | InvalidRow]:
    recorder = Recorder(Rules(merge_turns=True, strip_prompt=True, tool_calls="keep"))
    rows = parsed([RawRow("f", 1, data)])
    return [found for raw, row in rows for found in convert_all(raw, row, Layout(None), recorder).rows]


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, entry in inner for place in places(entry, (*at, key)))]


PLACES = places(ROW)[1:]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(ODD)), min_size=1, max_size=3))
def test_anything_in_any_place_is_a_record_or_a_reason(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    row = copy.deepcopy(ROW)
    for place, value in changes:
        inner: Any = row
        try:
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = value
        except (KeyError, IndexError, TypeError):  # a change before took the place away
            continue
    assert all(isinstance(found, ConvertedRow | InvalidRow) for found in outcomes(orjson.dumps(row)))


@pytest.mark.parametrize("place", PLACES)
def test_what_is_nested_deep_in_any_place_is_a_record_or_a_reason(place: tuple[Any, ...]) -> None:
    for depth, key in ((200, "items"), (240, ""), (1000, "a")):
        row = copy.deepcopy(ROW)
        inner: Any = row
        for name in place[:-1]:
            inner = inner[name]
        inner[place[-1]] = "MARK"
        deep = f'{{"{key}":' * depth + "1" + "}" * depth if key else "[" * depth + "]" * depth
        found = outcomes(orjson.dumps(row).replace(b'"MARK"', deep.encode()))
        assert found and all(isinstance(one, ConvertedRow) or one.code in Reason for one in found)
