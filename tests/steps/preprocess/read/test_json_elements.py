"""Cutting arrays and printed objects into rows: line numbers, and damage that stays where it is."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import tracemalloc
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.preprocess.read import json_elements
from steps.preprocess.read.compression import BOM
from steps.preprocess.read.sources import read_rows
from steps.preprocess.rows import raw_row
from steps.shared.contract import StepError
from tests import growth

ROWS = [{"prompt": f"p{n}", "chosen": 'a "quoted" \\ {[', "rejected": "ü]}"} for n in range(5)]
NESTED = [{"a": [{"a": 1}, {"a": "}, {"}], "b": {"a": {"a": "},\n{"}}}, {"a": []}, {"a": {}}, {"a": [{"a": 2}]}] * 3


def rows_of(path: Path) -> list[tuple[int, object]]:
    return [(row.line, orjson.loads(row.data)) for row in read_rows(path.name, path)]


def parsed(path: Path) -> tuple[list[object], int]:
    """The rows that parse, and the number of those that do not."""
    good, bad = [], 0
    for row in read_rows(path.name, path):
        try:
            good.append(orjson.loads(row.data))
        except orjson.JSONDecodeError:
            bad += 1
    return good, bad


def written(tmp_path: Path, data: bytes, name: str = "data.json") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def dumps(rows: object, **options) -> bytes:
    return json.dumps(rows, ensure_ascii=False, **options).encode()


def test_arrays_give_the_line_on_which_each_element_begins(tmp_path):
    data = b"\xef\xbb\xbf\r\n" + dumps(ROWS, indent=2).replace(b"\n", b"\r\n")
    assert rows_of(written(tmp_path, data)) == [(3 + 5 * n, row) for n, row in enumerate(ROWS)]


def test_an_array_on_one_line_and_objects_one_after_the_other(tmp_path):
    assert rows_of(written(tmp_path, dumps(ROWS))) == [(1, row) for row in ROWS]
    path = written(tmp_path, b"\n".join(dumps(row, indent=1) for row in ROWS))
    assert rows_of(path) == [(1 + 5 * n, row) for n, row in enumerate(ROWS)]


def test_an_array_much_larger_than_a_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr(raw_row, "CHUNK_BYTES", 7)  # so that every token is cut by a chunk's end somewhere
    for indent in (None, 1):
        assert [row for _, row in rows_of(written(tmp_path, dumps(ROWS, indent=indent)))] == ROWS


def test_an_empty_array_and_an_empty_file_have_no_rows(tmp_path):
    for data in (b"", b" \n\n", b"[]", b"[\n]\n", b"\xef\xbb\xbf"):
        assert rows_of(written(tmp_path, data)) == []


def test_an_array_in_a_file_that_is_called_lines_is_an_array(tmp_path):
    assert rows_of(written(tmp_path, dumps(ROWS), "data.jsonl")) == [(1, row) for row in ROWS]


def test_a_damaged_first_line_does_not_turn_lines_into_an_array(tmp_path):
    lines = [dumps(row) for row in ROWS]
    lines[0] = b"[" + lines[0][1:]
    assert parsed(written(tmp_path, b"\n".join(lines), "data.jsonl")) == (ROWS[1:], 1)


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("lost", ['"chosen', '"p2', '"rejected', '\\"quoted', '"ü', "{", "}"])
def test_a_lost_quote_or_bracket_costs_one_row_of_an_array(tmp_path, indent, lost):
    elements = [dumps(row, indent=indent).decode() for row in ROWS]
    place = elements[2].rfind(lost) if lost == "}" else elements[2].find(lost)
    elements[2] = elements[2][:place] + elements[2][place + 1 :]
    good, bad = parsed(written(tmp_path, f"[{', '.join(elements)}]".encode()))
    assert [row for row in ROWS if row in good] == [*ROWS[:2], *ROWS[3:]]
    assert bad >= 1


@pytest.mark.parametrize("indent", [None, 2])
def test_an_element_whose_bracket_is_missing_costs_only_itself(tmp_path, indent):
    elements = [dumps(row, indent=indent) for row in ROWS]
    elements[1] = elements[1].rstrip(b"}")
    assert parsed(written(tmp_path, b"[" + b",\n".join(elements) + b"]")) == ([ROWS[0], *ROWS[2:]], 1)


def test_things_between_elements_are_rows_too(tmp_path):
    data = b'[{"a": 1}}, null, "x, {y}", 3 {"a": 2}\n [4], {"a": 5}]'
    found = [row.data for row in read_rows("f", written(tmp_path, data))]
    assert found == [b'{"a": 1}', b"}", b"null", b'"x, {y}"', b"3", b'{"a": 2}', b"[4]", b'{"a": 5}']


def test_an_array_that_is_cut_off_says_so(tmp_path):
    path = written(tmp_path, dumps(ROWS[:2], indent=1)[:-1])
    with pytest.raises(StepError) as error:
        list(read_rows("f", path))
    assert str(error.value) == (
        f"{path}:12: the array has no closing ] where the file ends: the file was cut off, or its last row is damaged; "
        "copy the file again, or fix its end"
    )


@pytest.mark.parametrize("name", ["data.json", "data.jsonl", "data.json.gz"])
@pytest.mark.parametrize("indent", [None, 1])
def test_an_array_that_is_cut_anywhere_is_no_array(tmp_path, name, indent):
    rows = [{"messages": [{"role": "user", "content": "see [1], {2}"}], "n": n} for n in range(3)]
    whole = dumps(rows, indent=indent)
    for end in range(whole.index(b'"role"') + 1, len(whole)):
        data = whole[:end]
        with pytest.raises(StepError, match=r"the array has no closing \]"):
            list(read_rows(name, written(tmp_path, gzip.compress(data) if name.endswith(".gz") else data, name)))


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize(
    ("between", "behind"),
    [
        *itertools.product((b"", b"\n"), (dumps(ROWS), b'{"a": 1}\n{"a": 2}', b"<html>", b"x")),
        (b" , ", dumps(ROWS)),
    ],
)
def test_text_behind_the_end_of_an_array_is_named_with_its_line(tmp_path, indent, between, behind):
    whole = dumps(ROWS, indent=indent)
    path = written(tmp_path, whole + between + behind)
    line = 1 + (whole + between).count(b"\n")
    with pytest.raises(StepError) as error:
        list(read_rows("data.json", path))
    said = f"text behind the end of the array: {behind[:40].decode()!r}"
    assert str(error.value) == f"{path}:{line}: {said}; put all rows into one array, or write a row a line"


def test_a_damaged_last_row_may_take_the_arrays_bracket_with_it(tmp_path):
    assert parsed(written(tmp_path, b'[{"a": 1}, {"b": 2]\n')) == ([{"a": 1}], 1)


def test_a_damaged_row_that_leaves_a_bracket_is_no_end(tmp_path):
    data = b'[\n{"a": [{"b": 1}]},\n{"a: [{"b": 2}]},\n{"a": [{"b": 3}]}\n]'
    good, bad = parsed(written(tmp_path, data))
    assert {"a": [{"b": 1}]} in good and {"a": [{"b": 3}]} in good
    assert bad >= 1


@pytest.mark.parametrize("chunk", [5, 2**18])
def test_the_array_of_an_object_is_its_rows(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(raw_row, "CHUNK_BYTES", chunk)
    for whole in (
        {"data": ROWS},
        {"version": "1.0", "info": {"data": [{"x": 1}]}, "data": ROWS, "count": 5, "tags": ["a"]},
        {"rows": ROWS * 300, "next": None},
    ):
        path = written(tmp_path, dumps(whole, indent=2 if "info" in whole else None))
        assert [row for _, row in rows_of(path)] == whole.get("data", whole.get("rows"))
    assert rows_of(written(tmp_path, b'{"x": 1,\n"data":\n[{"a": 1},\n{"a": 2}]}'))[1] == (4, {"a": 2})


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"data": [{"a": 1}]', "1: the object that holds the array is not closed: the file was cut off"),
        (b'{"data": [{"a": 1}, {"a"', "1: the array has no closing ]"),
        (b'{"train": [{"a": 1}],\n"test": [{"a": 2}]}', "1: the file's object holds a second list of objects, 'test'"),
        (b'{"data": [{"a": 1}]}\n{"data": [{"a": 2}]}', "no"),
    ],
)
def test_an_object_with_more_than_one_array_or_without_end_is_refused(tmp_path, data, said):
    path = written(tmp_path, data)
    if said == "no":  # two objects: they are rows, and none has a field of a layout
        assert [row for _, row in rows_of(path)] == [{"data": [{"a": 1}]}, {"data": [{"a": 2}]}]
        return
    with pytest.raises(StepError) as error:
        list(read_rows("data.json", path))
    assert str(error.value).startswith(f"{path}:{said}")


@pytest.mark.parametrize("between", [b"", b" ", b",\n", b", ", b"\n"])
@pytest.mark.parametrize("name", ["data.json", "data.jsonl"])
def test_objects_that_follow_each_other_in_any_way(tmp_path, between, name):
    rows = [*ROWS, {"a": {"b": []}}]
    assert [row for _, row in rows_of(written(tmp_path, between.join(map(dumps, rows)), name))] == rows
    printed = between.join(dumps(row, indent=1).replace(b"{\n", b"{", 1) for row in rows)
    assert [row for _, row in rows_of(written(tmp_path, printed, name))] == rows


JSON = st.recursive(
    st.none() | st.integers(-9, 9) | st.text('a"\\{}[], \n\té', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('ab"}, ', max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.fixed_dictionaries({"a": JSON}, optional={"b": JSON}) | JSON, max_size=12),
    st.sampled_from([None, 0, 1]),
    st.sampled_from([1, 5, 64, 2**18]),
)
def test_a_cut_array_is_the_array(tmp_path_factory, rows, indent, chunk):
    path = written(tmp_path_factory.mktemp("array"), dumps(rows, indent=indent))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(raw_row, "CHUNK_BYTES", chunk)
        assert [row for _, row in rows_of(path)] == orjson.loads(path.read_bytes())


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([ROWS, NESTED]),
    st.sampled_from([None, 0, 1]),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255), st.integers(0, 2)), min_size=1, max_size=3),
)
def test_the_likely_way_and_the_careful_way_find_the_same_rows(tmp_path_factory, rows, indent, mutations):
    path = written(tmp_path_factory.mktemp("ways"), mutated(dumps(rows, indent=indent), mutations))
    likely = rows_or_error(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_elements, "MISSES", -1)
        careful = rows_or_error(path)
    assert likely == careful


def rows_or_error(path: Path) -> list[tuple[object, ...]] | str:
    try:
        return [row[:3] for row in read_rows("f", path)]
    except StepError as error:
        return str(error)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([ROWS, NESTED]),
    st.sampled_from([None, 1]),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255), st.integers(0, 2)), min_size=1, max_size=3),
)
def test_every_byte_of_a_mutated_array_is_in_some_row(tmp_path_factory, rows, indent, mutations):
    data = mutated(dumps(rows, indent=indent), mutations)
    path = written(tmp_path_factory.mktemp("mutated"), data)
    try:
        read = b"".join(row.data for row in read_rows(path.name, path))
    except StepError as error:
        assert str(error).startswith(f"{path}")
        return
    between = b" \t\r\n,[]"
    assert read.translate(None, between) == data.removeprefix(BOM).translate(None, between)


def mutated(data: bytes, mutations: list[tuple[int, int, int]]) -> bytes:
    """Bytes replaced, taken out or put in."""
    result = bytearray(data)
    for place, byte, how in mutations:
        place %= len(result)
        result[place : place + (how != 1)] = bytes([byte] * (how != 2))
    return bytes(result)


def test_an_element_without_end_stops_the_step_instead_of_filling_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(raw_row, "MAX_ROW_BYTES", 300)
    monkeypatch.setattr(raw_row, "CHUNK_BYTES", 100)
    path = written(tmp_path, b'[\n{"a": 1},\n{"b": [' + b"1, " * 1000)
    with pytest.raises(StepError, match=r"data.json:3: the row that begins here does not end within"):
        list(read_rows("data.json", path))


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("indent", [None, 1])
def test_a_large_array_is_cut_in_little_memory(tmp_path, indent, broken):
    row = dumps({"prompt": "p" * 3000, "chosen": [{"role": "user"}] * 20}, indent=indent)
    rows = [row, row.rstrip(b"\n}") if broken else row, row] * 2000
    path = written(tmp_path, b"[" + b", ".join(rows) + b"]")
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_rows("f", path)) == len(rows)
        assert tracemalloc.get_traced_memory()[1] < 3 * 2**20 < path.stat().st_size / 5
    finally:
        tracemalloc.stop()


def test_time_to_pass_over_brackets_grows_with_their_number(tmp_path):
    def call(size):
        path = tmp_path / f"{size}.json"
        path.write_bytes(b'[{"a": 1}' + b"]" * size + b' {"a": 2}]')
        with pytest.raises(StepError, match="text behind the end of the array"):
            list(read_rows("d.json", path))

    assert growth.is_linear(call, 5_000)


@pytest.mark.parametrize(
    ("start", "repeated"),
    [
        ("[", '{"a": [1, '),  # each may be a row with the others inside
        ("[", '{"a": "b, '),  # what is a text for one is not for the next
        ("{\n", '{"a": "b"}]'),
        ('[{"a": "b"},', "}"),  # nothing begins as the first row did
        ('{"data": [{"a": 1}', '], "a": ['),  # each may be the end of the array
    ],
)
def test_time_to_cut_rows_without_end_grows_with_the_text(tmp_path, start, repeated):
    def call(size):
        path = written(tmp_path, (start + repeated * size).encode())
        with contextlib.suppress(StepError):
            for _ in read_rows("d.json", path):
                pass

    assert growth.is_linear(call, 250)


def test_a_row_inside_a_broken_one_is_found_whether_brackets_or_a_text_of_it(tmp_path):
    for broken in ('{"a": [1, ', '{"a": "b, ', '{"a": {"b": '):
        data = f'[{{"a": 1}}, {broken}{{"a": [{{"a": 2}}]}}, {{"a": 3}}]'
        found = [row.data for row in read_rows("f", written(tmp_path, data.encode()))]
        assert b'{"a": [{"a": 2}]}' in found and b'{"a": 3}' in found, broken
