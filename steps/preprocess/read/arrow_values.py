"""Arrow's record batches to raw rows, as the JSON that the rows would have been.

Arrow gives every struct of a column the keys of all of them, filled with null. Inside structs such keys are left out
again, since nobody wrote them (a null that somebody did write cannot be told from them); columns, and the values of
lists and maps, keep their nulls. What JSON has no type for becomes text; NaN, by which pandas says null, becomes null.
Bytes that are no text become `{"bytes": how many}`: no layout reads that, and a column that nobody reads hurts nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from pyarrow import types

from steps.preprocess.rows import raw_row
from steps.preprocess.rows.raw_row import RawRow
from steps.preprocess.rows.reasons import InvalidRow, Reason
from steps.shared.contract import StepError

TEXTS = (types.is_string, types.is_large_string, types.is_string_view)
BYTES = (types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary)
BATCH_ROWS = 256
EXTENSION = b"ARROW:extension:name"  # of a type that is not registered here, in its field's metadata


def rows_at_a_time(rows: int, size: int) -> int:
    """How many of so many rows, which have `size` bytes together, are a batch: what fits the cache, one at least."""
    return min(max(raw_row.CHUNK_BYTES * rows // max(size, 1), 1), BATCH_ROWS)


def check_schema(path: Path, schema: pa.Schema) -> None:
    """
    Raises:
        StepError: there are no columns, two have one name, or one has a type that only its own library reads.
    """
    _check_names(path, list(schema))
    refused = [said for field in schema if (said := _refused(field, field.name))]
    if refused:
        raise StepError(
            f"{path}: holds what only its own library can read: {'; '.join(refused)}. Write plain columns, or leave "
            "these out"
        )


def _check_names(path: Path, fields: Sequence[pa.Field]) -> None:
    if not fields:
        raise StepError(f"{path}: this file has no columns")
    name, count = Counter(field.name for field in fields).most_common(1)[0]
    if count > 1:
        raise StepError(f"{path}: {count} columns or keys are called {name!r}; a row can have one; rename them")
    for field in fields:
        if field.type.num_fields:
            _check_names(path, _fields(field.type))


def _fields(kind: pa.DataType) -> list[pa.Field]:
    return [kind.field(number) for number in range(kind.num_fields)]


def _refused(field: pa.Field, place: str) -> str | None:
    """The column or key whose extension type is not read, with the type's name."""
    kind = field.type
    if isinstance(kind, pa.BaseExtensionType):
        known = isinstance(kind, pa.UuidType | pa.JsonType)
        return None if known else f"column {place} is of the extension type {kind.extension_name}"
    name = (field.metadata or {}).get(EXTENSION)
    if name is not None:
        return f"column {place} is of the extension type {name.decode('utf-8', 'replace')}"
    found = (_refused(inner, f"{place}.{inner.name}") for inner in _fields(kind))
    return next((said for said in found if said), None)


def rows_of_batch(label: str, number: int, batch: pa.RecordBatch) -> Iterator[RawRow]:
    """The rows of a batch; `number` is that of its first one in the file, from 1."""
    try:
        rows = [RawRow(label, line, text) for line, text in enumerate(_json(batch), number)]
    except UnicodeDecodeError:
        rows = [_row_by_itself(label, number + place, batch.slice(place, 1)) for place in range(batch.num_rows)]
    return iter(rows)


def _row_by_itself(label: str, line: int, row: pa.RecordBatch) -> RawRow:
    try:
        return RawRow(label, line, _json(row)[0])
    except UnicodeDecodeError as error:
        problem = InvalidRow(Reason.INVALID_UTF8, f"a value holds bytes that are not UTF-8 text: {error}")
        return RawRow(label, line, _json(row, "backslashreplace")[0], problem)


def _json(batch: pa.RecordBatch, errors: str = "strict") -> list[bytes]:
    names = batch.schema.names
    columns = [_values(column, errors) for column in batch.columns]
    return [orjson.dumps(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]


def _values(array: pa.Array, errors: str) -> list[Any]:
    """The values of an array as what orjson can write. By their types: Python's values do not tell a struct from a map.

    Args:
        errors: what to do about bytes that are not UTF-8, as `bytes.decode` takes it.
    """
    kind = array.type
    if isinstance(kind, pa.UuidType):
        return [value and str(value) for value in array.to_pylist()]
    if isinstance(kind, pa.JsonType):
        texts = _values(array.storage, errors)
        return [None if text is None else orjson.Fragment(text) for text in texts]
    if types.is_dictionary(kind):
        return _values(array.dictionary_decode(), errors)
    if types.is_struct(kind):
        return _with_nulls(array, _objects(array, errors))
    if types.is_nested(kind):
        return _with_nulls(array, _lists(array, errors))
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind) or types.is_null(kind):
        return array.to_pylist()
    return _texts(array, errors)


def _with_nulls(array: pa.Array, values: list[Any]) -> list[Any]:
    if array.null_count == 0:
        return values
    return [value if there else None for value, there in zip(values, array.is_valid().to_pylist(), strict=True)]


def _objects(array: pa.StructArray, errors: str) -> list[dict[str, Any]]:
    numbers = range(array.type.num_fields)
    names = [array.type.field(number).name for number in numbers]
    columns = [_values(array.field(number), errors) for number in numbers]
    return [
        {name: value for name, value in zip(names, row, strict=True) if value is not None}
        for row in zip(*columns, strict=True)
    ]


def _lists(array: pa.Array, errors: str) -> list[list[Any]] | list[dict[str, Any]]:
    """Lists of any kind; and maps, which are lists of entries."""
    starts, ends = _bounds(array)
    first, last = (int(starts.min()), int(ends.max())) if len(array) else (0, 0)
    places = list(zip((starts - first).tolist(), (ends - first).tolist(), strict=True))
    if types.is_map(array.type):
        keys = _values(array.keys[first:last], errors)
        texts = (key if isinstance(key, str) else orjson.dumps(key).decode() for key in keys)
        entries = list(zip(texts, _values(array.items[first:last], errors), strict=True))
        return [dict(entries[start:end]) for start, end in places]
    values = _values(array.values[first:last], errors)
    return [values[start:end] for start, end in places]


def _bounds(array: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Where each list begins and ends among the values of all."""
    if types.is_fixed_size_list(array.type):
        starts = (array.offset + np.arange(len(array))) * array.type.list_size
        return starts, starts + array.type.list_size
    offsets = array.offsets.to_numpy()
    if types.is_list_view(array.type) or types.is_large_list_view(array.type):
        return offsets, offsets + array.sizes.to_numpy()
    return offsets[:-1], offsets[1:]


def _texts(array: pa.Array, errors: str) -> list[Any]:
    kind = array.type
    if any(is_text(kind) for is_text in TEXTS):
        if errors == "strict":
            return array.to_pylist()
        array = array.cast(pa.large_binary())
    elif types.is_timestamp(kind) and kind.tz:
        moments = array.cast(pa.timestamp(kind.unit)).cast(pa.string())
        return [text and f"{text}Z" for text in moments.to_pylist()]
    elif any(is_bytes(kind) for is_bytes in BYTES):
        return [None if value is None else _text_or_size(value) for value in array.to_pylist()]
    else:
        return array.cast(pa.string()).to_pylist()
    return [None if value is None else value.decode("utf-8", errors) for value in array.to_pylist()]


def _text_or_size(value: bytes) -> str | dict[str, int]:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"bytes": len(value)}
