"""Lines of several objects: each of these is a row, whatever is wrong with another."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.preprocess.rows.raw_row import RawRow
from steps.preprocess.rows.reasons import InvalidRow
from steps.preprocess.shards.parse import parsed
from tests import growth

ROWS = [{"prompt": f"Name prime {n}.", "chosen": f"{n}7", "rejected": f"{n}9"} for n in range(60)]
LINES = [json.dumps(row) for row in ROWS]
ONE, TWO = {"a": "}{"}, {"b": [{"c": None}]}
BOTH = json.dumps(ONE) + json.dumps(TWO)


def found(line: str) -> list[object]:
    return [str(row.code) if isinstance(row, InvalidRow) else row for _, row in parsed([RawRow("f", 3, line.encode())])]


@pytest.mark.parametrize(
    ("line", "rows"),
    [
        (BOTH, [ONE, TWO]),
        (f"{json.dumps(ONE)} , {json.dumps(TWO)},", [ONE, TWO]),
        (json.dumps(ONE) + '{"b": NaN}', [ONE, {"b": None}]),
        (BOTH + '{"c": "cut', [ONE, TWO, "not_json"]),
        (BOTH + '{"c": 1, "c": 2}', [ONE, TWO, "duplicate_keys"]),
        (BOTH + "rest", [ONE, TWO, "not_json"]),
        ('{"a": "he said "}{" and left"}', ["not_json"]),
        ('{"a": 1} "b": 2}', ["not_json"]),
        ('{"a": 1}[2]', ["not_json"]),
        ('{"a": 1}}', ["not_json"]),
        ('{"a" 1}{"b": 2}', ["not_json"]),
        ("rest" + BOTH, ["not_json"]),
    ],
)
def test_the_objects_of_a_line_are_its_rows(line: str, rows: list[object]) -> None:
    assert found(line) == rows


TEXTS = st.text(max_size=4)
JSON = st.recursive(
    TEXTS | st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60)
@given(st.lists(st.dictionaries(TEXTS, JSON, max_size=3), min_size=1, max_size=4), st.sampled_from(["", " ", ", "]))
def test_whatever_the_objects_hold(rows: list[dict], between: str) -> None:
    assert found(between.join(orjson.dumps(row).decode() for row in rows)) == rows


@pytest.mark.parametrize("shard_bytes", [300, 2**20])
def test_joined_objects_are_read_wherever_their_line_is(tmp_path: Path, run_step: Callable, shard_bytes: int) -> None:
    text = "\n".join([*LINES[:20], "".join(LINES[20:40]), "".join(LINES[40:42]), *LINES[42:]])
    (tmp_path / "d.jsonl").write_text(text)
    report, records, quarantine = run_step(tmp_path / "d.jsonl", shard_bytes=shard_bytes)
    assert (report["rows"]["read"], len(records), quarantine) == (60, 60, [])
    assert [record.source_line for record in records] == [*range(1, 21), *[21] * 20, 22, 22, *range(23, 41)]


def test_time_to_cut_a_line_grows_with_the_line() -> None:
    assert growth.is_linear(lambda size: found('{"a":1}' * size + "{"), 500)
