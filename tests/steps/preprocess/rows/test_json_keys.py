"""A key that an object has twice refuses the row; rows without are passed by a count."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.preprocess.rows.raw_row import RawRow
from steps.preprocess.rows.reasons import InvalidRow
from steps.preprocess.shards.parse import parsed
from tests.steps.preprocess.converting import record_of, refused

COLONS = st.sampled_from([":", ": ", " : ", "  :", "\t:", "\n\n:"])
TEXTS = st.text(st.sampled_from('":\\ a{}[],\n\u00e9'), max_size=6)
VALUES = st.recursive(
    TEXTS | st.integers(-9, 9) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
)


@pytest.mark.parametrize(
    ("row", "key"),
    [
        ('{"prompt":"Name a prime.","chosen":"7","chosen":"9","rejected":"8"}', "chosen"),
        ('{"prompt": "q", "chosen" : "7", "chosen" : "9", "rejected": "8"}', "chosen"),
        ('{"prompt"  :"q","chosen":"7","chosen":"9","rejected":"8"}', "chosen"),
        ('{"prompt"\t:"q","chosen":"7","chosen":"9","rejected":"8"}', "chosen"),
        ('{"prompt"\n :"q","chosen":"7","chosen" \r:"9","rejected":"8"}', "chosen"),
        ('{"prompt":[{"role":"user","content":"a","content":"b"}],"chosen":"7","rejected":"8"}', "content"),
        ('{"prompt":"q","chosen":"\\":\\":","rejected":"8","x":{"a":[{"b":1,"b":2}]}}', "b"),
    ],
)
def test_a_key_that_stands_twice_refuses_the_row(row: str, key: str) -> None:
    said = f"an object has the key '{key}' twice; one of its values would be lost"
    assert refused(row) == ("duplicate_keys", said)


def test_a_key_that_is_in_two_objects_or_in_a_text_is_no_duplicate() -> None:
    row = {"prompt": '{"a":1,"a":2}', "chosen": '"b":', "rejected": '\\":', "a": {"a": {"a": 1}}}
    assert record_of(row).prompt[0]["content"] == '{"a":1,"a":2}'


@given(st.lists(st.dictionaries(TEXTS, VALUES, max_size=4), max_size=5), COLONS, st.integers(0, 5))
def test_rows_without_duplicates_pass_together_and_one_with_is_found_among_them(
    rows: list[dict], colon: str, place: int
) -> None:
    raws = [RawRow("f", n, json.dumps(row, separators=(",", colon)).encode()) for n, row in enumerate(rows)]
    assert [row for _, row in parsed(raws)] == rows
    raws.insert(place, RawRow("f", 9, b'{"k":1,"k":{}}'))
    found = [raw.line for raw, row in parsed(raws) if isinstance(row, InvalidRow) and "the key 'k' twice" in str(row)]
    assert found == [9]


def test_a_row_too_deep_to_be_looked_at_closely_is_refused() -> None:
    deep = "[" * 1000 + "]" * 1000
    row = f'{{"prompt":"q","chosen":"a","rejected":"b","x":1,"x":{deep}}}'
    assert refused(row) == ("too_deep", "nested too deep to be a preference pair")
