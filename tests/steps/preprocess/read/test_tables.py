"""CSV and TSV: cells in quotes, line numbers, rows that do not fit, and separators other than a comma."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.preprocess.read.sources import Stream, plan, read_rows
from steps.preprocess.rows import raw_row
from steps.preprocess.rows.raw_row import RawRow
from steps.shared.contract import StepError

NAMES = ["prompt", "chosen", "rejected"]


def rows_of(tmp_path: Path, text: str | bytes, name: str = "data.csv") -> list[RawRow]:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read_rows(name, path))


def values(rows: list[RawRow]) -> list[Any]:
    return [(row.line, orjson.loads(row.data)) for row in rows if not row.problem]


def problems(rows: list[RawRow]) -> list[tuple[int, str, str, bytes]]:
    return [(row.line, str(row.problem.code), str(row.problem), row.data) for row in rows if row.problem]


def refused(tmp_path: Path, text: str, name: str = "data.csv") -> str:
    with pytest.raises(StepError) as error:
        rows_of(tmp_path, text, name)
    return str(error.value)


def test_cells_in_quotes_keep_separators_line_ends_and_quotes_and_lines_are_counted(tmp_path):
    text = '\ufeff\r\nprompt,chosen,rejected\r\n"a, b","c\r\nd ""e""",f\r\n\r\n1,,3\r\n" x ",[1],"{}"'
    assert values(rows_of(tmp_path, text)) == [
        (3, {"prompt": "a, b", "chosen": 'c\r\nd "e"', "rejected": "f"}),
        (6, {"prompt": "1", "rejected": "3"}),
        (7, {"prompt": " x ", "chosen": "[1]", "rejected": "{}"}),
    ]


@pytest.mark.parametrize(
    ("name", "separator"),
    [("a.csv", ","), ("a.csv", ";"), ("a.csv", "\t"), ("a.csv", "|"), ("a.tsv", "\t"), ("a.tsv", ","), ("a.TSV", "\t")],
)
def test_what_separates_the_names_separates_the_cells(tmp_path, name, separator):
    lines = [separator.join(NAMES), separator.join(["p", '"x\ty,z;|"', "r"])]
    assert values(rows_of(tmp_path, "\n".join(lines), name)) == [
        (2, {"prompt": "p", "chosen": "x\ty,z;|", "rejected": "r"})
    ]


def test_excels_line_about_the_separator_is_no_row(tmp_path):
    rows = rows_of(tmp_path, "sep=;\nprompt;chosen\na;b,c\n")
    assert values(rows) == [(3, {"prompt": "a", "chosen": "b,c"})]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_table_is_read_from_its_start_packed_or_not(tmp_path, suffix):
    text = b"prompt,chosen\na,b\n"
    data = gzip.compress(text) if suffix else text
    rows = rows_of(tmp_path, data, f"x.csv{suffix}")
    assert values(rows) == [(2, {"prompt": "a", "chosen": "b"})]
    path = tmp_path / f"x.csv{suffix}"
    assert plan([(path.name, path)], 1) == [Stream(path.name, path, len(data))]


def test_rows_that_do_not_fit_the_names_are_broken_rows(tmp_path):
    rows = rows_of(tmp_path, 'a,b\n1,2\n1,2,3\n1\n"1"x,2\n3,"4"\n"5,6')
    fits = "but the first line names 2 columns; is a quote or separator missing?"
    assert values(rows) == [(2, {"a": "1", "b": "2"}), (6, {"a": "3", "b": "4"})]
    assert problems(rows) == [
        (3, "table_row", f"3 cells, {fits}", b"1,2,3"),
        (4, "table_row", f"1 cells, {fits}", b"1"),
        (5, "table_row", "the line is no row of CSV: ',' expected after '\"'", b'"1"x,2'),
        (7, "table_row", "the line is no row of CSV: unexpected end of data", b'"5,6'),
    ]


def test_a_stray_quote_costs_its_own_line(tmp_path):
    rows = rows_of(tmp_path, 'a,b\n"1,2\n3,4\n5,"6"\n7,8\n')
    assert values(rows) == [(3, {"a": "3", "b": "4"}), (4, {"a": "5", "b": "6"}), (5, {"a": "7", "b": "8"})]
    assert [line for line, *_ in problems(rows)] == [2]


def test_quotes_are_characters_in_tsv_where_they_close_nothing(tmp_path):
    lines = ['"Hi" he said\tb\tc', 'q2\t"x" is it\t12"', 'q4\t"open\ty', 'q5\tz"\ty', 'q6\t"all ""of"" it"\t""']
    lines += ['"two', 'lines"\tb\t"and', 'two"', 'q10\tb\t"cut']
    rows = rows_of(tmp_path, "\n".join(["\t".join(NAMES), *lines]), "data.tsv")
    assert [(line, *row.values()) for line, row in values(rows)] == [
        (2, '"Hi" he said', "b", "c"),
        (3, "q2", '"x" is it', '12"'),
        (4, "q4", '"open', "y"),
        (5, "q5", 'z"', "y"),
        (6, "q6", 'all "of" it'),
        (7, "two\nlines", "b", "and\ntwo"),
    ]
    assert [(line, code) for line, code, _, _ in problems(rows)] == [(10, "table_row")]


def test_a_quote_that_takes_the_rest_of_the_file_stops_the_step(tmp_path):
    said = refused(tmp_path, 'a,b\n1,2\n"3,4\n' + "5,6\n" * 100)
    assert said == (
        f"{tmp_path}/data.csv:3: the row that begins here opens a quote that is never closed; close it, double the "
        'quotes inside of a cell (""), or copy the file again if it was cut off'
    )


def test_a_row_beyond_the_limit_stops_the_step(tmp_path, monkeypatch):
    monkeypatch.setattr(raw_row, "MAX_ROW_BYTES", 1000)
    said = refused(tmp_path, 'a,b\n1,2\n"3,4\n' + "5,6\n" * 1000)
    assert said.startswith(f"{tmp_path}/data.csv:3: the row that begins here does not end within 0 MiB")


def test_bytes_that_are_not_utf8_cost_their_row(tmp_path):
    rows = rows_of(tmp_path, b"a,b\n1,\xe9\n3,\xc3\xa9\n")
    assert values(rows) == [(3, {"a": "3", "b": "é"})]
    assert problems(rows) == [(2, "invalid_utf8", "a cell holds bytes that are not UTF-8", b"1,\xe9")]


def test_a_column_without_a_name_is_called_as_pandas_calls_it(tmp_path):
    assert values(rows_of(tmp_path, ", prompt\n0,a\n")) == [(2, {"Unnamed: 0": "0", "prompt": "a"})]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b,a\n1,2,3\n", "2 columns are called 'a'; a row can have one; rename them"),
        (
            "prompt\nq\n",
            "the first line must name the columns, with one of these between them: comma, tab, semicolon, vertical "
            "bar; it has ['prompt']",
        ),
        ('"a"x,b\n', "the first line, which must name the columns, is no CSV: ',' expected after '\"'"),
    ],
)
def test_a_first_line_that_names_no_columns_is_refused(tmp_path, text, said):
    assert refused(tmp_path, text) == f"{tmp_path}/data.csv: {said}"


def test_lines_of_json_that_are_called_csv_are_json(tmp_path):
    assert values(rows_of(tmp_path, '{"a": 1}\n{"a": 2}\n')) == [(1, {"a": 1}), (2, {"a": 2})]


def test_an_empty_table_has_no_rows(tmp_path):
    assert rows_of(tmp_path, "") == rows_of(tmp_path, " \n") == rows_of(tmp_path, "a,b\n") == []


CELL = st.text(st.sampled_from('ab",;\t\n é0|'), max_size=8)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(CELL, CELL, CELL), max_size=8),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([1, 7, 2**18]),
)
def test_what_csv_writes_is_read_back(tmp_path_factory, rows, separator, end, chunk):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator=end)
    writer.writerows([NAMES, *rows])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(raw_row, "CHUNK_BYTES", chunk)
        found = rows_of(tmp_path_factory.mktemp("table"), text.getvalue())
    told = [{name: cell for name, cell in zip(NAMES, row, strict=True) if cell} for row in rows]
    assert [value for _, value in values(found)] == told
    for (line, _), row in zip(values(found), rows, strict=True):  # a row begins where its line says
        rest = text.getvalue().split("\n", line - 1)[-1]
        assert next(csv.reader(io.StringIO(rest, newline=""), delimiter=separator)) == list(row)


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from('ab",;\n'), max_size=60))
def test_any_table_is_rows_or_one_clear_error(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("any")
    try:
        rows = rows_of(folder, "a,b\n" + text)
    except StepError as error:
        assert str(error).startswith(f"{folder}/data.csv:")
    else:
        lines = [line for line in text.split("\n") if line.strip("\n")]
        assert len(rows) <= len(lines)
        assert bool(rows) == bool(lines)


def test_a_large_table_is_read_in_little_memory(tmp_path):
    path = tmp_path / "data.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(NAMES)
        writer.writerows((f"p{n}\n", "a" * 900, "b") for n in range(20_000))
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_rows(path.name, path)) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20 < path.stat().st_size / 4
    finally:
        tracemalloc.stop()


def test_columns_of_json_stay_texts(tmp_path):
    messages = json.dumps([{"role": "user", "content": "q"}])
    text = io.StringIO()
    csv.writer(text).writerows([["prompt", "chosen"], [messages, "a"]])
    assert values(rows_of(tmp_path, text.getvalue())) == [(2, {"prompt": messages, "chosen": "a"})]
