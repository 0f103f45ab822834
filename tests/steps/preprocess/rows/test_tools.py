"""Reading the tools of many rows, with what was read before remembered, gives what each row alone gives."""

from __future__ import annotations

import json

import pytest

from steps.preprocess.rows.reasons import InvalidRow
from steps.preprocess.rows.tools import ToolReader, declare

TOOL = {"name": "add", "parameters": {"type": "dict", "properties": {"a": {"type": "int"}}, "required": ["a"]}}
OTHER = {"name": "other"}
NORMAL = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def test_a_reader_gives_for_each_row_what_the_row_alone_gives():
    texts = [json.dumps(TOOL), json.dumps(OTHER)]
    rows = [None, texts, texts[:1], texts, list(texts), [TOOL], json.dumps([TOOL]), [TOOL, texts[1]], [], texts]
    reader = ToolReader()
    assert [reader.declare(row) for row in rows] == [declare(row) for row in rows]
    assert json.loads(reader.declare(texts[:1]).text or b"")[0]["function"]["parameters"] == NORMAL
    assert reader.declare(texts).required == {"add": ["a"], "other": []}


def test_a_row_that_is_refused_is_not_taken_for_the_one_before():
    reader, good, bad = ToolReader(), [json.dumps(TOOL)], ['{"name": ""}']
    before = reader.declare(good)
    for _ in range(2):
        with pytest.raises(InvalidRow, match=r"tools\[0\] has no name"):
            reader.declare(bad)
    assert reader.declare(good) == before
