"""Files to sources: containers, JSON Lines in pieces that give exactly the rows of the whole, and line numbers."""

from __future__ import annotations

import gzip
import json
import pickle
import random
import tracemalloc
from pathlib import Path

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.preprocess.read.sources import (
    RawRow,
    Segment,
    Source,
    Stream,
    count_lines,
    needs_lines,
    numbered,
    plan,
    read_rows,
)
from steps.preprocess.rows import raw_row
from steps.shared.contract import StepError

ROWS = [{"prompt": f"p{n}", "chosen": "a\u00fc\U0001f600", "rejected": "b" * n} for n in range(5)]
BOM = b"\xef\xbb\xbf"
PACK = {"": bytes, ".gz": gzip.compress, ".zst": lambda data: zstd(data)}


def zstd(data: bytes) -> bytes:
    with pa.BufferOutputStream() as buffer:
        with pa.CompressedOutputStream(buffer, "zstd") as stream:
            stream.write(data)
        return buffer.getvalue().to_pybytes()


def written(tmp_path: Path, data: bytes, name: str = "data.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def dumps(row: object) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode()


def sources_of(path: Path, block: int) -> list[Source]:
    """Planned, counted and numbered, and through a pickle as on their way to a worker."""
    sources = plan([(path.name, path)], block)
    return pickle.loads(pickle.dumps(list(numbered(sources, map(count_lines, needs_lines(sources))))))


def in_pieces(path: Path, block: int) -> list[RawRow]:
    return [row for source in sources_of(path, block) for row in source.rows()]


def expected(data: bytes) -> list[tuple[int, bytes]]:
    """The rows as the simplest reader would have them."""
    lines = enumerate(data.removeprefix(BOM).split(b"\n"), 1)
    return [(number, line.strip(b" \t\r\n")) for number, line in lines if line.strip(b" \t\r\n")]


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_json_lines_with_bom_blank_lines_and_either_line_end(tmp_path, suffix, end):
    data = BOM + end + end.join([dumps(ROWS[0]), b"", b"  ", dumps(ROWS[1])]) + end + end
    path = written(tmp_path, PACK[suffix](data), "data.jsonl" + suffix)
    found = [(row.line, orjson.loads(row.data)) for row in read_rows("x", path)]
    assert found == [(2, ROWS[0]), (5, ROWS[1])]
    assert in_pieces(path, 2**20) == list(read_rows(path.name, path))


LINE = st.sampled_from([dumps(ROWS[0]), dumps(ROWS[4]), '{"é": "\U0001f600"}'.encode(), b"{", b"x", b" ", b"", b"\xff"])
END = st.sampled_from([b"\n", b"\r\n", b" \n"])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(LINE, END), max_size=12),
    st.booleans(),
    st.sampled_from([b"", b"\n", dumps(ROWS[3]), b" "]),
    st.integers(1, 200),
    st.sampled_from([1, 3, 50, 2**18]),
)
def test_any_split_gives_exactly_the_rows_of_the_whole(tmp_path_factory, lines, bom, last, block, chunk):
    data = b'{"first": 1}\n' + b"".join(line + end for line, end in lines) + last
    path = written(tmp_path_factory.mktemp("split"), BOM * bom + data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(raw_row, "CHUNK_BYTES", chunk)
        pieces, whole = in_pieces(path, block), list(read_rows(path.name, path))
    assert [(row.line, row.data) for row in whole] == expected(data)
    assert pieces == whole


def test_segments_cover_a_file_in_blocks(tmp_path):
    data = b"\n".join(dumps(row) for row in ROWS * 10)
    path = written(tmp_path, data)
    segments = plan([("data.jsonl", path)], 1000)
    assert all(isinstance(segment, Segment) for segment in segments)
    assert [segment.start for segment in segments] == list(range(0, len(data), 1000))
    assert sum(segment.size for segment in segments) == len(data)
    assert plan([("data.jsonl", path)]) == [Segment("data.jsonl", path, 0, len(data), 1)]


def test_only_segments_with_another_behind_them_are_counted(tmp_path):
    small, large = written(tmp_path, b"{}\n", "a.jsonl"), written(tmp_path, b"{}\n" * 10, "b.jsonl")
    array, again = written(tmp_path, b"[{}]", "c.json"), written(tmp_path, b'{"a": 1}\n' * 3, "d.jsonl")
    sources = plan([(path.name, path) for path in (small, large, array, again)], 12)
    assert [(segment.label, segment.start) for segment in needs_lines(sources)] == [
        ("b.jsonl", 0),
        ("b.jsonl", 12),
        ("d.jsonl", 0),
        ("d.jsonl", 12),
    ]
    lines = [getattr(source, "line", None) for source in numbered(sources, [4, 4, 2, 1])]
    assert lines == [1, 1, 5, 9, None, 1, 3, 4]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("array.json", b'[{"a": 1}]'),
        ("objects.json", b'{\n"a": 1\n}\n{\n"a": 2\n}'),
        ("lines.jsonl.gz", gzip.compress(b"{}\n", mtime=0)),
        ("lines.jsonl.zst", zstd(b"{}\n")),
        ("named.jsonl", gzip.compress(b"{}\n", mtime=0)),  # its bytes say what it is
    ],
)
def test_what_cannot_be_split_is_a_stream(tmp_path, name, data):
    path = written(tmp_path, data, name)
    assert plan([(name, path)], 4) == [Stream(name, path, len(data))]
    assert in_pieces(path, 4) == list(read_rows(name, path)) != []


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_compressed_arrays_and_several_frames_in_a_file(tmp_path, suffix):
    data = json.dumps(ROWS, indent=1).encode()
    for cut in (0, 1, 2, 100, len(data)):
        path = written(tmp_path, PACK[suffix](data[:cut]) + PACK[suffix](data[cut:]), "data.json" + suffix)
        assert [orjson.loads(row.data) for row in read_rows("x", path)] == ROWS


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("kept", ["all but a byte", "half", "a frame and the start of the next", "the magic number"])
def test_a_compressed_file_that_is_cut_off_stops_the_step(tmp_path, suffix, kept):
    whole = PACK[suffix](b"\n".join(dumps({"a": random.random()}) for _ in range(20_000)))
    ends = {"all but a byte": len(whole) - 1, "half": len(whole) // 2, "the magic number": 4}
    data = whole[: ends[kept]] if kept in ends else whole + whole[:20]
    path = written(tmp_path, data, "data.jsonl" + suffix)
    with pytest.raises(StepError) as error:
        list(read_rows("x", path))
    reason = "Truncated compressed stream"
    if suffix == ".gz":
        reason = "Compressed file ended before the end-of-stream marker was reached"
    assert str(error.value) == f"{path}: cannot be read to its end ({reason}); copy the file again"


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_damaged_compressed_file_stops_the_step(tmp_path, suffix):
    whole = PACK[suffix](b"\n".join(dumps({"a": random.random()}) for _ in range(20_000)))
    path = written(tmp_path, whole + b"and more", "data.jsonl" + suffix)
    with pytest.raises(StepError, match=r"data.jsonl.*: cannot be read to its end \(.*\); copy the file again"):
        list(read_rows("x", path))


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".parquet"])
def test_an_empty_file_that_should_be_compressed_stops_the_step(tmp_path, suffix):
    path = written(tmp_path, b"", "data.json" + suffix)
    with pytest.raises(StepError) as error:
        plan([("x", path)])
    assert str(error.value) == f"{path}: is empty, which no compressed file is; copy the file again"


def test_a_file_that_is_compressed_twice_stops_the_step(tmp_path):
    path = written(tmp_path, gzip.compress(gzip.compress(b"{}")), "data.json.gz")
    with pytest.raises(StepError) as error:
        list(read_rows("x", path))
    assert (
        str(error.value)
        == f"{path}: what is compressed in it is compressed itself, or Parquet or Arrow; unpack it once"
    )


def test_a_file_that_cannot_be_opened_stops_the_step(tmp_path):
    with pytest.raises(StepError, match=r"none.jsonl: cannot be read to its end \(.*No such file.*\); copy"):
        plan([("none.jsonl", tmp_path / "none.jsonl")])


def test_a_file_that_becomes_shorter_under_way_stops_the_step(tmp_path):
    path = written(tmp_path, b"{}\n" * 10)
    segment = plan([("data.jsonl", path)])[0]
    path.write_bytes(b"{}\n" * 5)
    with pytest.raises(StepError) as error:
        list(segment.rows())
    assert str(error.value) == f"{path}: became shorter while it was read; run again when it is complete"


@pytest.mark.parametrize("chunk", [1, 7, 100, 2**18])
@pytest.mark.parametrize("block", [10, 333, 10_000])
def test_a_line_beyond_the_limit_is_one_invalid_row(tmp_path, monkeypatch, chunk, block):
    monkeypatch.setattr(raw_row, "MAX_ROW_BYTES", 300)
    monkeypatch.setattr(raw_row, "CHUNK_BYTES", chunk)
    lines = [dumps({"a": 1}), b'{"a": "' + b"x" * 1000 + b'"}', b"y" * 300, dumps({"a": 2})]
    for order in ((0, 1, 2, 3), (1, 0, 2, 3), (0, 2, 3, 1)):
        path = written(tmp_path, b"\n".join(lines[n] for n in order))
        for rows in (in_pieces(path, block), list(read_rows(path.name, path))):
            found = [(row.line, row.problem and str(row.problem.code)) for row in rows]
            assert found == [(at + 1, "too_large" if n == 1 else None) for at, n in enumerate(order)]
            assert [row.data for row in rows if not row.problem] == [lines[n] for n in order if n != 1]
            assert lines[1].startswith(next(row.data for row in rows if row.problem))


def test_a_line_beyond_the_limit_is_not_held_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(raw_row, "MAX_ROW_BYTES", 2**20)
    path = written(tmp_path, b'{"a": 1}\n{"a": "' + b"x" * 2**25 + b'"}\n{"a": 2}\n')
    sources = sources_of(path, 2**22)
    tracemalloc.start()
    try:
        rows = [row for source in sources for row in source.rows()]
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()
    assert [(row.line, len(row.data)) for row in rows] == [(1, 8), (2, raw_row.KEPT_BYTES), (3, 8)]
    assert str(rows[1].problem) == "the line is longer than 1 MiB"
