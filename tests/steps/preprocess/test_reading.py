"""Cutting files into rows: containers, line numbers, and damage that stays where it is."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.contract import StepError
from steps.preprocess import reading
from steps.preprocess.reading import find_inputs, read_rows

ROWS = [{"prompt": f"p{n}", "chosen": 'a "quoted" \\ {[', "rejected": "ü]}"} for n in range(5)]


def rows_of(path: Path) -> list[tuple[int, object]]:
    return [(raw.line, orjson.loads(raw.data)) for raw in read_rows(path.name, path)]


def parsed(path: Path) -> tuple[list[object], int]:
    """The rows that parse, and the number of those that do not."""
    good, bad = [], 0
    for raw in read_rows(path.name, path):
        try:
            good.append(orjson.loads(raw.data))
        except orjson.JSONDecodeError:
            bad += 1
    return good, bad


def written(tmp_path: Path, data: bytes, name: str = "data.json") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def dumps(rows: object, **options) -> bytes:
    return json.dumps(rows, ensure_ascii=False, **options).encode()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_json_lines_with_bom_blank_lines_and_either_line_end(tmp_path, packed, end):
    data = b"\xef\xbb\xbf" + end + end.join([dumps(ROWS[0]), b"", b"  ", dumps(ROWS[1])]) + end + end
    path = written(tmp_path, gzip.compress(data) if packed else data, "data.jsonl" + ".gz" * packed)
    assert rows_of(path) == [(2, ROWS[0]), (5, ROWS[1])]


@pytest.mark.parametrize("packed", [False, True])
def test_arrays_give_the_line_on_which_each_element_begins(tmp_path, packed):
    data = b"\xef\xbb\xbf\r\n" + dumps(ROWS, indent=2).replace(b"\n", b"\r\n")
    path = written(tmp_path, gzip.compress(data) if packed else data)
    assert rows_of(path) == [(3 + 5 * n, row) for n, row in enumerate(ROWS)]


def test_an_array_on_one_line_and_objects_one_after_the_other(tmp_path):
    assert rows_of(written(tmp_path, dumps(ROWS))) == [(1, row) for row in ROWS]
    path = written(tmp_path, b"\n".join(dumps(row, indent=1) for row in ROWS))
    assert rows_of(path) == [(1 + 5 * n, row) for n, row in enumerate(ROWS)]


def test_an_array_much_larger_than_a_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "CHUNK_BYTES", 7)  # so that every token is cut by a chunk's end somewhere
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
    data = b'[{"a": 1}}, null, "x, {y}", 3 {"a": 2}\n [4]] {"a": 5}'
    found = [raw.data for raw in read_rows("f", written(tmp_path, data))]
    assert found == [b'{"a": 1}', b"}", b"null", b'"x, {y}"', b"3", b'{"a": 2}', b"[4]", b'{"a": 5}']


def test_an_array_that_is_cut_off_says_so(tmp_path):
    whole = dumps(ROWS[:2], indent=1)
    *_, last = read_rows("f", written(tmp_path, whole[:-1]))
    assert (last.line, last.problem.code) == (12, "not_json")
    assert str(last.problem) == "the array has no closing ]: the file looks cut off"


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([None, 1]),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255), st.integers(0, 2)), min_size=1, max_size=3),
)
def test_every_byte_of_a_mutated_array_is_in_some_row(tmp_path_factory, indent, mutations):
    data = bytearray(dumps(ROWS, indent=indent))
    for place, byte, how in mutations:
        place %= len(data)
        data[place : place + (how != 1)] = bytes([byte] * (how != 2))
    path = written(tmp_path_factory.mktemp("mutated"), bytes(data))
    read = b"".join(raw.data for raw in read_rows(path.name, path))
    between = b" \t\r\n,[]"
    assert read.translate(None, between) == bytes(data).removeprefix(reading.BOM).translate(None, between)


def test_a_line_beyond_the_limit_is_one_invalid_row(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_ROW_BYTES", 300)
    monkeypatch.setattr(reading, "CHUNK_BYTES", 100)
    lines = [dumps({"a": 1}), b'{"a": "' + b"x" * 1000 + b'"}', dumps({"a": 2})]
    for order in ((0, 1, 2), (1, 0, 2), (0, 2, 1)):
        path = written(tmp_path, b"\n".join(lines[n] for n in order), "data.jsonl")
        found = [(raw.line, raw.problem and str(raw.problem.code)) for raw in read_rows("data.jsonl", path)]
        assert found == [(at + 1, "too_large" if n == 1 else None) for at, n in enumerate(order)]


def test_an_element_without_end_stops_the_step_instead_of_filling_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_ROW_BYTES", 300)
    monkeypatch.setattr(reading, "CHUNK_BYTES", 100)
    path = written(tmp_path, b'[\n{"a": 1},\n{"b": [' + b"1, " * 1000)
    with pytest.raises(StepError, match=r"data.json:3: the row that begins here does not end within"):
        list(read_rows("data.json", path))


def test_a_gzip_file_that_is_cut_off_stops_the_step(tmp_path):
    data = gzip.compress(b"\n".join(dumps({"a": random.random()}) for _ in range(1000)))
    path = written(tmp_path, data[:-100], "data.jsonl.gz")
    with pytest.raises(StepError) as error:
        list(read_rows("data.jsonl.gz", path))
    ended = "Compressed file ended before the end-of-stream marker was reached"
    assert str(error.value) == f"{path}: cannot be read to its end ({ended}); copy the file again"


def test_a_folder_gives_its_data_files_in_order_and_names_the_others(tmp_path):
    for name in ("b.jsonl", "a/z.json.gz", "a/A.JSON", "README.md", "part.parquet", ".hidden.json", ".git/x.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    inputs = find_inputs(tmp_path)
    assert [label for label, _ in inputs.files] == ["a/A.JSON", "a/z.json.gz", "b.jsonl"]
    assert inputs.ignored == ["README.md", "part.parquet"]


def test_a_folder_without_data_files_says_what_it_holds(tmp_path):
    (tmp_path / "data.csv").touch()
    with pytest.raises(StepError) as error:
        find_inputs(tmp_path)
    readable = ".json, .jsonl, .ndjson, .json.gz, .jsonl.gz, .ndjson.gz"
    assert str(error.value) == f"{tmp_path}: no data file in this folder (it holds data.csv); readable are {readable}"
