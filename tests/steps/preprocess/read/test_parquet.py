"""Parquet rows as the JSON that they would have been."""

from __future__ import annotations

import datetime
import pickle
import random
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.preprocess.read import arrow_values, parquet
from steps.preprocess.read.sources import RawRow, RowGroups, plan, read_rows
from steps.shared.contract import StepError

CALL = {"name": "weather", "arguments": {"city": "Paris"}}
OTHER = {"name": "time", "arguments": {"zone": "CET", "format": None, "parts": []}}


def written(tmp_path: Path, columns: dict[str, Any], **options: Any) -> Path:
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table(columns), path, **options)
    return path


def rows_of(path: Path) -> list[Any]:
    return [orjson.loads(row.data) for row in read_rows(path.name, path)]


def column(tmp_path: Path, array: Any) -> list[Any]:
    """What a column's values come out as."""
    return [row["x"] for row in rows_of(written(tmp_path, {"x": array}))]


def test_keys_that_other_rows_have_are_left_out_and_columns_stay(tmp_path):
    path = written(tmp_path, {"calls": [[CALL, OTHER], [], None], "system": [None, "s", None]})
    assert rows_of(path) == [
        {"calls": [CALL, {"name": "time", "arguments": {"zone": "CET", "parts": []}}], "system": None},
        {"calls": [], "system": "s"},
        {"calls": None, "system": None},
    ]


def test_what_json_lacks_becomes_text(tmp_path):
    moment = datetime.datetime(2024, 2, 29, 12, 30, 1)
    values = {
        "date": (datetime.date(2024, 2, 29), pa.date32(), "2024-02-29"),
        "second": (moment, pa.timestamp("s"), "2024-02-29 12:30:01.000"),
        "nano": (1, pa.timestamp("ns"), "1970-01-01 00:00:00.000000001"),
        "zoned": (moment, pa.timestamp("ms", "Europe/Berlin"), "2024-02-29 12:30:01.000Z"),
        "time": (datetime.time(1, 2, 3), pa.time32("ms"), "01:02:03.000"),
        "decimal": (Decimal("1.50"), pa.decimal128(9, 2), "1.50"),
        "binary": ("é".encode(), pa.binary(), "é"),
        "fixed": (b"ab", pa.binary(2), "ab"),
        "uuid": (uuid.UUID(int=5).bytes, pa.uuid(), "00000000-0000-0000-0000-000000000005"),
    }
    path = written(tmp_path, {name: pa.array([value, None], kind) for name, (value, kind, _) in values.items()})
    assert rows_of(path) == [{name: text for name, (_, _, text) in values.items()}, dict.fromkeys(values)]


@pytest.mark.parametrize(
    "array",
    [
        pa.array(["a", None, "é"], pa.large_string()),
        pa.array(["a", None, "é"], pa.string_view()),
        pa.array(["a", None, "a"]).dictionary_encode(),
        pa.array([1, None, -(2**63)]),
        pa.array([2**64 - 1, 0], pa.uint64()),
        pa.array([1.5, None], pa.float16()),
        pa.array([True, None, False]),
        pa.nulls(2),
        pa.array([[1, None], None, []], pa.large_list(pa.int64())),
        pa.array([["a"], None, [], ["b", "c"]], pa.list_view(pa.string())),
        pa.array([["a"], None, [], ["b", "c"]], pa.large_list_view(pa.string())),
        pa.array([["a", "b"], ["c", None]], pa.list_(pa.string(), 2)),
        pa.array([[[1], []], None, [], [None, [2, 3]]]),
        pa.array([{"a": [{"b": "c"}]}, None]),
    ],
    ids=lambda array: str(array.type),
)
def test_every_type_that_json_has_a_value_for(tmp_path, array):
    assert column(tmp_path, array) == array.to_pylist()


def test_maps_are_objects_and_keep_their_nulls(tmp_path):
    named = pa.array([[("a", 1), ("b", None)], None, []], pa.map_(pa.string(), pa.int64()))
    assert column(tmp_path, named) == [{"a": 1, "b": None}, None, {}]
    numbers = pa.array(
        [[(1, [{"k": None}])], [(2, None)]], pa.map_(pa.int64(), pa.list_(pa.map_(pa.string(), pa.string())))
    )
    assert column(tmp_path, numbers) == [{"1": [{"k": None}]}, {"2": None}]


def test_nan_is_null(tmp_path):
    assert column(tmp_path, [1.0, float("nan")]) == [1.0, None]


def test_columns_of_json_are_what_their_texts_say(tmp_path):
    """As `datasets` writes tools whose schemas differ: Arrow's own JSON type."""
    array = pa.array(['{"a":{"b":[1,null]}}', None, '"a text"', "null", "12345678901234567890123"], pa.json_())
    assert column(tmp_path, array)[:4] == [{"a": {"b": [1, None]}}, None, "a text", None]
    *_, last = read_rows("f", tmp_path / "data.parquet")
    assert last.data == b'{"x":12345678901234567890123}'
    inside = pa.StructArray.from_arrays([array, pa.array(range(5))], names=["schema", "n"])
    assert column(tmp_path, inside)[:2] == [{"schema": {"a": {"b": [1, None]}}, "n": 0}, {"n": 1}]
    lists = pa.ListArray.from_arrays([0, 2, 5], array)
    assert column(tmp_path, lists)[0] == [{"a": {"b": [1, None]}}, None]


class Matrix(pa.ExtensionType):
    def __init__(self) -> None:
        super().__init__(pa.list_(pa.int32()), "mine.matrix")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: pa.DataType, serialized: bytes) -> Matrix:
        return cls()


@pytest.mark.parametrize("known", [True, False])
def test_other_extension_types_are_refused_by_name(tmp_path, known):
    matrix = pa.ExtensionArray.from_storage(Matrix(), pa.array([[1], [2]], pa.list_(pa.int32())))
    path = written(tmp_path, {"x": matrix, "y": pa.array([1, 0], pa.bool8()), "z": ["a", "b"]})
    if known:
        pa.register_extension_type(Matrix())
    try:
        with pytest.raises(StepError) as error:
            plan([("f", path)])
    finally:
        if known:
            pa.unregister_extension_type("mine.matrix")
    assert str(error.value) == (
        f"{path}: holds what only its own library can read: column x is of the extension type mine.matrix; "
        "column y is of the extension type arrow.bool8. Write plain columns, or leave these out"
    )


def test_bytes_that_are_no_text_are_their_number(tmp_path):
    assert column(tmp_path, pa.array([b"\xff\xfe", b"ab", None, b""])) == [{"bytes": 2}, "ab", None, ""]
    images = pa.array([[{"bytes": b"\x89PNG", "path": "a.png"}], []])
    assert column(tmp_path, images) == [[{"bytes": {"bytes": 4}, "path": "a.png"}], []]


def test_a_parquet_file_that_is_none_is_called_damaged(tmp_path):
    path = tmp_path / "data.parquet"
    path.write_bytes(b"\0" * 600)
    with pytest.raises(StepError) as error:
        plan([("f", path)])
    said = "this Parquet file is damaged: it does not begin as one does; copy the file again"
    assert str(error.value) == f"{path}: {said}"


def invalid_texts(texts: list[bytes]) -> pa.Array:
    """Texts that nobody checked."""
    offsets = np.cumsum([0, *map(len, texts)]).astype(np.int32)
    return pa.Array.from_buffers(
        pa.string(), len(texts), [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(b"".join(texts))]
    )


def test_text_inside_a_list_that_is_not_utf8_costs_its_row_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(arrow_values, "BATCH_ROWS", 3)
    texts = invalid_texts([b"a", b"\xff\xfe", b"b", "\u00fc".encode(), b"c\x80", b"d"])
    objects = pa.StructArray.from_arrays([texts], names=["t"])
    lists = pa.ListArray.from_arrays([0, 1, 3, 3, 4, 4, 5, 6], objects)
    path = written(tmp_path, {"n": list(range(7)), "x": lists})
    rows = list(read_rows("f", path))
    assert [row.line for row in rows if row.problem] == [2, 6]
    assert rows[1].problem.code == "invalid_utf8"
    assert orjson.loads(rows[1].data) == {"n": 1, "x": [{"t": "\\xff\\xfe"}, {"t": "b"}]}
    good = [orjson.loads(row.data)["x"] for row in rows if not row.problem]
    assert good == [[{"t": "a"}], [], [{"t": "ü"}], [], [{"t": "d"}]]


def test_text_that_is_not_utf8_costs_its_row_alone(tmp_path):
    path = written(tmp_path, {"x": invalid_texts([b"a", b"\xff"])})
    good, bad = read_rows("f", path)
    assert (good.data, good.problem) == (b'{"x":"a"}', None)
    assert (bad.data, bad.problem.code) == (b'{"x":"\\\\xff"}', "invalid_utf8")


def test_row_groups_are_packed_to_blocks_and_give_the_rows_of_the_whole(tmp_path):
    path = written(tmp_path, {"n": list(range(1000)), "t": ["x" * (n % 90) for n in range(1000)]}, row_group_size=70)
    whole = list(read_rows("f", path))
    assert [(row.line, orjson.loads(row.data)["n"]) for row in whole] == [(n + 1, n) for n in range(1000)]
    for block, count in ((1, 15), (10_000, 8), (10**9, 1)):
        sources = pickle.loads(pickle.dumps(plan([("f", path)], block)))
        assert all(isinstance(source, RowGroups) for source in sources)
        assert len(sources) == count
        assert [row for source in sources for row in source.rows()] == whole


def test_a_file_without_rows_has_none(tmp_path):
    path = written(tmp_path, {"x": pa.array([], pa.string())})
    assert [row for source in plan([("f", path)]) for row in source.rows()] == [] == list(read_rows("f", path))


def test_batches_are_small_where_rows_are_large(tmp_path, monkeypatch):
    sizes = []
    monkeypatch.setattr(parquet, "rows_of_batch", lambda label, number, batch: sizes.append(batch.num_rows) or iter(()))
    path = written(tmp_path, {"x": [str(n) * 10_000 for n in range(100)]})
    list(read_rows("f", path))
    assert sum(sizes) == 100
    assert max(sizes) < 60


@pytest.mark.parametrize("keep", [4, 100, -1, -200])
def test_a_file_that_is_cut_off_stops_the_step(tmp_path, keep):
    path = written(tmp_path, {"x": ["text"] * 1000})
    path.write_bytes(path.read_bytes()[:keep])
    for read in (lambda: plan([("f", path)]), lambda: list(read_rows("f", path))):
        with pytest.raises(StepError, match=r"data.parquet: this Parquet file is damaged or was cut off \(.*\); copy"):
            read()


def test_columns_or_keys_of_one_name_stop_the_step(tmp_path):
    path = tmp_path / "data.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"]), path)
    with pytest.raises(StepError) as error:
        plan([("f", path)])
    assert str(error.value) == f"{path}: 2 columns or keys are called 'x'; a row can have one; rename them"
    struct = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["k", "k"])
    with pytest.raises(StepError, match="2 columns or keys are called 'k'"):
        plan([("f", written(tmp_path, {"x": struct}))])


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from(["snappy", "none"]), st.booleans())
def test_a_damaged_file_gives_rows_or_one_clear_error(tmp_path_factory, seed, compression, checksums):
    chance = random.Random(seed)
    path = written(
        tmp_path_factory.mktemp("damaged"),
        {"x": [[CALL], [OTHER], None] * 20, "y": ["text"] * 60},
        compression=compression,
        write_page_checksum=checksums,
    )
    data = bytearray(path.read_bytes())
    for _ in range(chance.randint(1, 3)):
        data[chance.randrange(4, len(data))] = chance.randrange(256)
    path.write_bytes(data)
    try:
        rows = list(read_rows("f", path))
    except StepError as error:
        assert str(error).startswith(f"{path}: ")
    else:
        assert all(isinstance(row, RawRow) for row in rows)
