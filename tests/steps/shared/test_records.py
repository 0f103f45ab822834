"""Records: what is written is what is read, and an id says what a row says."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.shared.contract import StepError
from steps.shared.records import SCHEMA, Record, RecordGroups, content_id, encode, read_groups, read_records, write_part

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
MESSAGES = st.lists(st.fixed_dictionaries({"role": TEXT, "content": TEXT}, optional={"name": TEXT}), max_size=3)
RECORDS = st.builds(
    Record,
    id=TEXT,
    prompt=MESSAGES,
    chosen=MESSAGES,
    rejected=MESSAGES,
    tools=st.none() | st.lists(st.dictionaries(TEXT, JSON, max_size=3), max_size=2),
    format=TEXT,
    source_file=TEXT,
    source_line=st.integers(1, 2**40),
    chat_template_kwargs=st.none() | st.dictionaries(TEXT, JSON, min_size=1, max_size=2),
)


def record(**changes) -> Record:
    user, yes, no = (
        {"role": role, "content": text} for role, text in (("user", "q"), ("assistant", "a"), ("assistant", "b"))
    )
    return dataclasses.replace(Record("0" * 32, [user], [yes], [no], None, "plain", "a.jsonl", 1), **changes)


def groups(records: list[Record]) -> RecordGroups:
    made = RecordGroups()
    for row in records:
        made.add(encode(row))
    return made


def write(path: Path, records: list[Record]) -> None:
    assert write_part(path, groups(records).tables(), np.ones(len(records), bool)) == []


@settings(max_examples=40)
@given(st.lists(RECORDS, min_size=1, max_size=4))
def test_records_survive_the_round_trip(tmp_path_factory, records):
    folder = tmp_path_factory.mktemp("records")
    write(folder / "a.parquet", records)
    assert read_records(folder) == records


def test_no_record_gets_the_keys_of_another_ones_tools(tmp_path):
    one = record(tools=[{"type": "function", "function": {"name": "f", "parameters": {"a": 1}}}])
    other = record(tools=[{"type": "function", "function": {"name": "g", "parameters": {"b": {"c": [None]}}}}])
    write(tmp_path / "a.parquet", [one, other, record()])
    assert [row.tools for row in read_records(tmp_path)] == [one.tools, other.tools, None]
    assert pq.read_schema(tmp_path / "a.parquet").equals(SCHEMA)


def test_template_arguments_are_a_column_of_the_files_whose_rows_have_some_alone(tmp_path):
    plain, own = record(), record(source_line=2, chat_template_kwargs={"enable_thinking": False, "effort": {"a": [1]}})
    write(tmp_path / "a.parquet", [plain])
    write(tmp_path / "b.parquet", [plain, own])
    assert pq.read_schema(tmp_path / "a.parquet").equals(SCHEMA)
    assert pq.read_schema(tmp_path / "b.parquet").names == [*SCHEMA.names, "chat_template_kwargs"]
    assert read_records(tmp_path) == [plain, plain, own]


def test_more_rows_than_one_group_keep_their_order_and_bytes(tmp_path):
    rows = [record(source_line=line) for line in range(1, 2503)]
    for name in ("a", "b"):
        write(tmp_path / name / "part.parquet", rows)
    assert read_records(tmp_path / "a") == rows
    one, other = ((tmp_path / name / "part.parquet").read_bytes() for name in ("a", "b"))
    assert one == other


def test_files_are_read_in_the_order_of_their_names(tmp_path):
    for name, line in (("b", 2), ("a", 1)):
        write(tmp_path / f"{name}.parquet", [record(source_line=line)])
    assert [row.source_line for row in read_records(tmp_path)] == [1, 2]


def test_a_failure_leaves_no_file_and_no_part_of_one(tmp_path):
    def failing() -> Iterator[pa.Table]:
        yield from groups([record()]).tables()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_part(tmp_path / "part.parquet", failing(), np.ones(1, bool))
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=20)
@given(st.lists(RECORDS, min_size=1, max_size=5), st.data())
def test_rows_are_written_or_handed_back_the_first_time_and_again(tmp_path_factory, records, data):
    folder = tmp_path_factory.mktemp("parts")
    part, tables = folder / "part-00000.parquet", groups(records).tables()
    stay = records
    while stay:
        keep = data.draw(st.lists(st.booleans(), min_size=len(stay), max_size=len(stay)))
        assert write_part(part, tables, np.array(keep)) == [r for r, kept in zip(stay, keep, strict=True) if not kept]
        stay = [row for row, kept in zip(stay, keep, strict=True) if kept]
        assert (read_records(folder) if stay else list(folder.iterdir())) == stay
        if len(stay) == len(keep):
            break
        tables = read_groups(part)


def test_a_file_has_the_bytes_of_one_that_never_had_the_rows_that_left(tmp_path):
    rows = [record(source_line=line) for line in range(1, 2503)]
    few = np.arange(len(rows)) < 1000
    write_part(tmp_path / "few", groups(rows[:1000]).tables(), few[:1000])
    write_part(tmp_path / "once", groups(rows).tables(), few)
    write_part(tmp_path / "again", groups(rows).tables(), np.ones(len(rows), bool))
    write_part(tmp_path / "again", read_groups(tmp_path / "again"), few)
    assert (tmp_path / "few").read_bytes() == (tmp_path / "once").read_bytes() == (tmp_path / "again").read_bytes()


def test_a_file_whose_rows_with_template_arguments_left_has_the_bytes_of_one_that_never_had_any(tmp_path):
    rows = [record(source_line=line) for line in range(1, 2503)]
    mixed = [
        dataclasses.replace(row, chat_template_kwargs={"n": 1}) if row.source_line in (7, 2100) else row for row in rows
    ]
    keep = np.array([row.chat_template_kwargs is None for row in mixed])
    write_part(tmp_path / "never", groups([row for row in mixed if not row.chat_template_kwargs]).tables(), keep[keep])
    write(tmp_path / "again", mixed)
    out = write_part(tmp_path / "again", read_groups(tmp_path / "again"), keep)
    assert [row.source_line for row in out] == [7, 2100] and out[0].chat_template_kwargs == {"n": 1}
    assert pq.read_table(tmp_path / "again").equals(pq.read_table(tmp_path / "never"))
    assert pq.read_schema(tmp_path / "again").equals(SCHEMA)


def test_template_arguments_are_part_of_what_a_row_says():
    row = record()
    parts = row.prompt, row.chosen, row.rejected, None
    one = content_id(*parts, {"a": 1, "b": 2})
    assert one == content_id(*parts, {"b": 2, "a": 1})
    assert len({one, content_id(*parts), content_id(*parts, {"a": 1}), content_id(*parts, {"a": 1, "b": True})}) == 4
    assert content_id(*parts, {}) == content_id(*parts) == "a5ff1adb705404e8b2a03c2410a0a04a"
    reverse = content_id(row.prompt, row.rejected, row.chosen, None, {"a": 1, "b": 2})
    assert int(one, 16) ^ int(reverse, 16) == 1


def test_a_row_and_its_reverse_differ_in_the_last_bit_of_their_ids():
    row = record()
    one = content_id(row.prompt, row.chosen, row.rejected, None)
    reverse = content_id(row.prompt, row.rejected, row.chosen, None)
    assert int(one, 16) ^ int(reverse, 16) == 1


def test_the_id_ignores_key_order_and_call_ids_but_nothing_else():
    def call(identity: str, **arguments) -> list[dict]:
        calls = [{"id": identity, "type": "function", "function": {"name": "f", "arguments": arguments}}]
        return [{"role": "assistant", "content": "", "tool_calls": calls}]

    row = record()
    first = content_id(row.prompt, call("x", a=1, b=2), row.rejected, None)
    assert first == content_id(row.prompt, call("y", b=2, a=1), row.rejected, None)
    assert first != content_id(row.prompt, call("x", a=1, b=3), row.rejected, None)
    assert first != content_id(row.prompt, row.rejected, call("x", a=1, b=2), None)
    assert first != content_id(row.prompt, call("x", a=1, b=2), row.rejected, [{"function": {"name": "f"}}])


@pytest.mark.parametrize("case", ["none", "foreign", "damaged", "no_json"])
def test_a_folder_that_preprocess_did_not_write_is_refused(tmp_path: Path, case: str):
    path = tmp_path / "part-00000.parquet"
    said = f"{tmp_path}: no *.parquet file in this folder; it must be a data set that Preprocess wrote"
    if case == "foreign":
        pq.write_table(pa.table({"id": ["1"], "prompt": ["[]"]}), path)
        missing = "chosen, rejected, tools, format, source_file, source_line"
        said = f"{path}: not a data set that Preprocess wrote: no column {missing}"
    elif case == "damaged":
        path.write_bytes(b"PAR1 and nothing else")
        said = f"{path}: this data set is damaged ("
    elif case == "no_json":
        row = {name: ["1"] for name in SCHEMA.names} | {"source_line": [1], "prompt": ["[{"]}
        pq.write_table(pa.table(row, schema=SCHEMA), path)
        said = f"{path}: this data set is damaged ("
    with pytest.raises(StepError) as error:
        read_records(tmp_path)
    assert str(error.value).startswith(said)
