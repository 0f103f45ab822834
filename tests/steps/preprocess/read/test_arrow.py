"""Arrow streams and files: the same rows as from Parquet, and nothing lost where one was cut off."""

from __future__ import annotations

from pathlib import Path

import orjson
import pyarrow as pa
import pytest
from pyarrow import feather

from steps.preprocess.read import arrow
from steps.preprocess.read.sources import Stream, plan, read_rows
from steps.shared.contract import StepError

TABLE = pa.table(
    {
        "n": list(range(1000)),
        "calls": [[{"name": "f"}], [{"arguments": {"x": 1}}], None, []] * 250,
        "tools": pa.array(['[{"a":1}]', None] * 500, pa.json_()),
    }
)
WANTED = [
    {"n": 0, "calls": [{"name": "f"}], "tools": [{"a": 1}]},
    {"n": 1, "calls": [{"arguments": {"x": 1}}], "tools": None},
    {"n": 2, "calls": None, "tools": [{"a": 1}]},
]


def stream(path: Path, rows_a_batch: int = 300) -> Path:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=rows_a_batch)
    return path


def file(path: Path) -> Path:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=300)
    return path


def feather_of(path: Path) -> Path:
    feather.write_feather(TABLE, str(path), compression="zstd", chunksize=300)
    return path


@pytest.mark.parametrize("write", [stream, file, feather_of])
@pytest.mark.parametrize("name", ["data-00000-of-00001.arrow", "x.feather", "x.jsonl"])  # its bytes say what it is
def test_rows_are_numbered_and_those_that_were_written(tmp_path, write, name):
    path = write(tmp_path / name)
    rows = list(read_rows("x", path))
    assert [row.line for row in rows] == list(range(1, 1001))
    values = [orjson.loads(row.data) for row in rows]
    assert values[:3] == WANTED and [value["n"] for value in values] == list(range(1000))
    (source,) = plan([("x", path)], 100)
    assert source == Stream("x", path, path.stat().st_size)
    assert list(source.rows()) == rows


def test_batches_are_read_in_slices(tmp_path, monkeypatch):
    sizes = []
    monkeypatch.setattr(arrow, "rows_of_batch", lambda label, number, batch: sizes.append(batch.num_rows) or iter(()))
    list(read_rows("x", stream(tmp_path / "x.arrow", 1000)))
    assert sizes == [256, 256, 256, 232]


def test_a_stream_that_is_cut_between_two_batches_is_not_whole(tmp_path):
    whole = stream(tmp_path / "whole.arrow").read_bytes()
    path = tmp_path / "cut.arrow"
    path.write_bytes(whole[:-8])
    with pytest.raises(StepError) as error:
        list(read_rows("x", path))
    assert str(error.value) == f"{path}: this Arrow file was cut off: its end mark is missing; copy the file again"


@pytest.mark.parametrize("write", [stream, file])
def test_a_file_that_is_cut_anywhere_is_refused(tmp_path, write):
    whole = write(tmp_path / "whole.arrow").read_bytes()
    path = tmp_path / "cut.arrow"
    for end in range(16, len(whole), len(whole) // 40):
        path.write_bytes(whole[:end])
        with pytest.raises(
            StepError, match=r"cut.arrow: this Arrow file (is damaged or )?was cut off.*copy the file again"
        ):
            list(read_rows("x", path))


def test_columns_of_one_name_are_refused(tmp_path):
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    with pa.OSFile(str(tmp_path / "x.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(StepError, match="2 columns or keys are called 'x'"):
        list(read_rows("x", tmp_path / "x.arrow"))
