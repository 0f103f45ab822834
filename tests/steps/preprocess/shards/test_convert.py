"""Rows that are read as rows of the same names and types were read before."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.preprocess.layouts.formats import by_name
from steps.preprocess.rows.raw_row import RawRow
from steps.preprocess.rows.rules import Rules
from steps.preprocess.shards.convert import Layout, convert_all
from steps.preprocess.shards.record import Recorder

MESSAGE = {"role": "user", "content": "q"}
ANSWER = {"role": "assistant", "content": "a"}
VALUES = st.sampled_from(
    [None, "q", "other", [MESSAGE], [MESSAGE, ANSWER], [ANSWER], ANSWER, {"role": "assistant", "content": "b"}, 1.5]
)
NAMES = (
    "prompt",
    "messages",
    "chosen",
    "rejected",
    "chosen_response",
    "rejected_response",
    "question",
    "score",
    "note",
)
ROWS = st.dictionaries(st.sampled_from(NAMES), VALUES, min_size=2)


def read(row: dict[str, Any], layout: Layout, rules: Rules) -> Any:
    found = convert_all(RawRow("file", 1, orjson.dumps(row)), row, layout, Recorder(rules))
    return [(str(pair), getattr(pair, "code", None)) for pair in found.rows]


@given(
    rows=st.lists(ROWS, max_size=8),
    name=st.sampled_from(["plain", "chat", "implicit-prompt", "when2call", "swift", "ultrafeedback"]),
    rules=st.sampled_from([Rules(), Rules(columns={"prompt": "question"}), Rules(ignore_fields=("score",))]),
)
def test_what_a_row_becomes_depends_on_no_row_before_it(rows: list[dict[str, Any]], name: str, rules: Rules) -> None:
    shared = Layout(by_name(name))
    for row in [*rows, *rows]:
        assert read(dict(row), shared, rules) == read(dict(row), Layout(by_name(name)), rules)


@pytest.mark.parametrize("answer", ["q", [ANSWER]])
def test_a_row_of_names_and_types_that_were_read_before_is_not_sorted_again(answer: Any) -> None:
    layout = Layout(by_name("chat" if isinstance(answer, list) else "plain"))
    row = {"prompt": [MESSAGE] if isinstance(answer, list) else "q", "chosen": answer, "rejected": "b", "note": 1}
    once, again = read(row, layout, Rules()), read(row, layout, Rules())
    assert once == again
    assert len(layout.readings) == 1
    (reading,) = layout.readings.values()
    assert reading.others.unread == ("note",)
