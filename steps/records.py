"""The canonical preference record and its Parquet files: what Preprocess writes, and Train reads.

Messages and tools travel as JSON text, because Arrow unifies struct columns: a row would get the keys of the other
rows' tool schemas and call arguments, filled with null, and the model would be trained on them. Knows nothing of the
layouts that people's files have (steps/preprocess/formats.py does), and judges no content.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from steps.contract import StepError

Messages = list[dict[str, Any]]
Tools = list[dict[str, Any]] | None

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("chosen", pa.string(), nullable=False),
        pa.field("rejected", pa.string(), nullable=False),
        pa.field("tools", pa.string()),
        pa.field("format", pa.string(), nullable=False),
        pa.field("source_file", pa.string(), nullable=False),
        pa.field("source_line", pa.int64(), nullable=False),
    ]
)
ROWS_PER_GROUP = 1000  # what a writer holds in memory, and a fixed number so that the same rows give the same bytes


@dataclass(frozen=True)
class Record:
    """One preference pair. `id` comes from the content alone; `source_*` say where the row stood."""

    id: str
    prompt: Messages
    chosen: Messages
    rejected: Messages
    tools: Tools
    format: str
    source_file: str
    source_line: int


def canonical(value: Any) -> bytes:
    """JSON with sorted keys: equal values give equal bytes, whatever order their file wrote them in."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def content(messages: Messages) -> Messages:
    """The messages without the ids of their tool calls, which are drawn at random: what makes two answers the same."""
    plain = []
    for message in messages:
        message = {key: value for key, value in message.items() if key != "tool_call_id"}
        if "tool_calls" in message:
            calls = message["tool_calls"]
            message["tool_calls"] = [{key: call[key] for key in call if key != "id"} for call in calls]
        plain.append(message)
    return plain


def content_id(prompt: Messages, chosen: Messages, rejected: Messages, tools: Tools) -> str:
    """A stable hash of what a row says: 128 bits, as 32 hexadecimal digits."""
    row = [content(prompt), content(chosen), content(rejected), tools]
    return hashlib.sha256(canonical(row)).hexdigest()[:32]


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()


def _columns(records: list[Record]) -> dict[str, list[Any]]:
    return {
        "id": [record.id for record in records],
        "prompt": [_dumps(record.prompt) for record in records],
        "chosen": [_dumps(record.chosen) for record in records],
        "rejected": [_dumps(record.rejected) for record in records],
        "tools": [None if record.tools is None else _dumps(record.tools) for record in records],
        "format": [record.format for record in records],
        "source_file": [record.source_file for record in records],
        "source_line": [record.source_line for record in records],
    }


class RecordWriter:
    """Writes a folder's `part-00000.parquet`, a group at a time; the file appears when the block ends well."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "part-00000.parquet"
        self._beside = folder / "part-00000.parquet.tmp"
        self._pending: list[Record] = []
        self._file = pq.ParquetWriter(self._beside, SCHEMA, compression="zstd")
        self.rows = 0

    def write(self, record: Record) -> None:
        self._pending.append(record)
        self.rows += 1
        if len(self._pending) == ROWS_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            self._file.write_table(pa.table(_columns(self._pending), schema=SCHEMA))
            self._pending = []

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
            self._file.close()
            os.replace(self._beside, self._path)
        else:
            self._file.close()
            self._beside.unlink(missing_ok=True)


def write_records(folder: Path, records: Iterable[Record]) -> int:
    """Write the records to a folder and return how many there were."""
    with RecordWriter(folder) as writer:
        for record in records:
            writer.write(record)
    return writer.rows


def iter_records(folder: Path) -> Iterator[Record]:
    """The records of every `*.parquet` of a folder, in the order of the files' names, a group in memory at a time.

    Raises:
        StepError: there is no such file, or one of them was not written by this module.
    """
    paths = sorted(folder.glob("*.parquet"))
    if not paths:
        raise StepError(f"{folder}: no *.parquet file in this folder; it must be a data set that Preprocess wrote")
    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                missing = [name for name in SCHEMA.names if name not in file.schema_arrow.names]
                if missing:
                    raise StepError(f"{path}: not a data set that Preprocess wrote: no column {', '.join(missing)}")
                for batch in file.iter_batches(ROWS_PER_GROUP, columns=SCHEMA.names):
                    yield from (_record(row) for row in batch.to_pylist())
        except (pa.ArrowException, orjson.JSONDecodeError) as error:
            raise StepError(f"{path}: this data set is damaged ({error}); run Preprocess again") from None


def _record(row: dict[str, Any]) -> Record:
    for name in ("prompt", "chosen", "rejected"):
        row[name] = orjson.loads(row[name])
    if row["tools"] is not None:
        row["tools"] = orjson.loads(row["tools"])
    return Record(**row)


def read_records(folder: Path) -> list[Record]:
    """All records of a folder; raises as `iter_records` does."""
    return list(iter_records(folder))
