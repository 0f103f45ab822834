"""The canonical preference record and its Parquet files: what Preprocess writes, and Train reads.

Messages and tools travel as JSON text, because Arrow unifies struct columns: a row would get the keys of the other
rows' tool schemas and call arguments, filled with null, and the model would be trained on them. Knows nothing of the
layouts that people's files have (steps/preprocess/formats.py does), and judges no content.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
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
BYTES_PER_GROUP = 64 * 2**20  # of huge rows there are fewer in a group
REPEATING = ["tools", "format", "source_file"]  # columns whose values come again and again
FORM = {"schema": SCHEMA, "compression": "zstd", "use_dictionary": REPEATING}


def part_name(number: int) -> str:
    """The name of a data set's nth Parquet file."""
    return f"part-{number:05d}.parquet"


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


def tool_digest(text: bytes) -> bytes:
    """What identifies a tool, from its JSON: to the model the order of its keys makes a difference."""
    return hashlib.sha256(text).digest()


def tools_digest(digests: Iterable[bytes]) -> bytes:
    """What identifies the tools that a row declares, from theirs in order."""
    return hashlib.sha256(b"".join(digests)).digest()


def pair_id(prompt: bytes, chosen: bytes, rejected: bytes, tools: bytes) -> bytes:
    """A stable hash of a row, 16 bytes, from the canonical JSON of its messages and the digest of its tools.

    A row and its reverse (the same pair with the preference turned round) differ in the last bit alone.
    """
    turned = chosen > rejected
    first, second = (rejected, chosen) if turned else (chosen, rejected)
    digest = hashlib.sha256(b"\n".join((tools, prompt, first, second))).digest()  # no line breaks in such JSON
    return digest[:15] + bytes((digest[15] & 0xFE | turned,))


def canonical_messages(messages: Messages, text: bytes | None = None) -> bytes:
    """What makes two conversations the same, as JSON: everything but the ids of calls, which are drawn at random.

    `text` is the messages' own JSON, where it is at hand: with no calls in them it is canonical as it stands, because
    Preprocess writes the keys of a message in one order.
    """
    text = text or orjson.dumps(messages)
    if b"tool_call" not in text:  # not even in what is said
        return text
    if not any("tool_calls" in message or "tool_call_id" in message for message in messages):
        return text
    return canonical(content(messages) if b'"id"' in text or b'"tool_call_id"' in text else messages)


def content_id(prompt: Messages, chosen: Messages, rejected: Messages, tools: Tools) -> str:
    """What a row says, as 32 hexadecimal digits."""
    parts = (canonical_messages(messages) for messages in (prompt, chosen, rejected))
    return pair_id(*parts, tools_digest(tool_digest(orjson.dumps(tool)) for tool in tools or ())).hex()


class EncodedRecord(NamedTuple):
    """A record as Parquet holds it, in the order of SCHEMA; messages and tools are JSON."""

    id: str
    prompt: bytes
    chosen: bytes
    rejected: bytes
    tools: bytes | None
    format: str
    source_file: str
    source_line: int


def encode(record: Record) -> EncodedRecord:
    messages = (orjson.dumps(value) for value in (record.prompt, record.chosen, record.rejected))
    tools = None if record.tools is None else orjson.dumps(record.tools)
    return EncodedRecord(record.id, *messages, tools, record.format, record.source_file, record.source_line)


def decode(row: EncodedRecord) -> Record:
    messages = (orjson.loads(text) for text in (row.prompt, row.chosen, row.rejected))
    tools = None if row.tools is None else orjson.loads(row.tools)
    return Record(row.id, *messages, tools, row.format, row.source_file, row.source_line)


def _table(rows: list[EncodedRecord]) -> pa.Table:
    """Rows as Arrow, by way of buffers: building arrays from Python objects is slower, and imports pandas."""
    ids, prompts, chosen, rejected, tools, formats, files, lines = zip(*rows, strict=True)
    numbers = pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(np.array(lines, np.int64))])
    texts = ((text.encode() for text in column) for column in (ids, formats, files))
    id_column, format_column, file_column = map(_text_column, texts)
    json_columns = map(_text_column, (prompts, chosen, rejected, tools))
    return pa.table([id_column, *json_columns, format_column, file_column, numbers], schema=SCHEMA)


def _text_column(texts: Iterable[bytes | None]) -> pa.Array:
    """Texts, known to be UTF-8, as one array."""
    texts = list(texts)
    there = np.packbits([text is not None for text in texts], bitorder="little")
    texts = [text or b"" for text in texts]
    offsets = np.zeros(len(texts) + 1, np.int32)
    np.cumsum([len(text) for text in texts], out=offsets[1:])
    buffers = [pa.py_buffer(there), pa.py_buffer(offsets), pa.py_buffer(b"".join(texts))]
    return pa.Array.from_buffers(pa.string(), len(texts), buffers)


class RecordWriter:
    """Writes one Parquet file of records, a row group at a time; the file appears when the block ends well."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._beside = path.with_name(f"{path.name}.tmp")
        self._pending: list[EncodedRecord] = []
        self._bytes = 0
        self._file = pq.ParquetWriter(self._beside, **FORM)
        self.rows = 0

    def write(self, row: EncodedRecord) -> None:
        self._pending.append(row)
        self._bytes += len(row.prompt) + len(row.chosen) + len(row.rejected)
        self.rows += 1
        if len(self._pending) == ROWS_PER_GROUP or self._bytes > BYTES_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            self.write_table(_table(self._pending))
            self._pending, self._bytes = [], 0

    def write_table(self, table: pa.Table) -> None:
        self._file.write_table(table)

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
    """Write the records to a folder's `part-00000.parquet` and return how many there were."""
    with RecordWriter(folder / part_name(0)) as writer:
        for record in records:
            writer.write(encode(record))
    return writer.rows


def finish(staged: Path, path: Path, keep: np.ndarray) -> list[Record]:
    """Move a file to its place, without the rows for which the mask says False; returns these.

    Args:
        keep: bool, one for each row of the staged file. Where it says False throughout, there is no file then.
    """
    out: list[Record] = []
    path.parent.mkdir(parents=True, exist_ok=True)
    if keep.all():
        os.replace(staged, path)
        return out
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(pq.ParquetFile(staged))
        writer = stack.enter_context(RecordWriter(path)) if keep.any() else None
        start = 0
        for number in range(reader.num_row_groups):
            table = reader.read_row_group(number).cast(SCHEMA)
            mask = keep[start : start + len(table)]
            start += len(table)
            if not mask.all():
                stays = pa.Array.from_buffers(
                    pa.bool_(), len(mask), [None, pa.py_buffer(np.packbits(mask, bitorder="little"))]
                )
                gone = table.filter(pc.invert(stays))
                out += [decode(EncodedRecord(**row)) for row in gone.to_pylist()]
                table = table.filter(stays)
            if len(table):
                writer.write_table(table)
    staged.unlink()
    return out


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
                    yield from (decode(EncodedRecord(**row)) for row in batch.to_pylist())
        except (pa.ArrowException, orjson.JSONDecodeError) as error:
            raise StepError(f"{path}: this data set is damaged ({error}); run Preprocess again") from None


def read_records(folder: Path) -> list[Record]:
    """All records of a folder; raises as `iter_records` does."""
    return list(iter_records(folder))
