"""The canonical preference record and its Parquet files: what Preprocess writes, and Train reads.

Messages and tools travel as JSON text, because Arrow unifies struct columns: a row would get the keys of the other
rows' tool schemas and call arguments, filled with null, and the model would be trained on them. So do the template
arguments of rows that have some of their own, in a column that only such files have. Knows nothing of the layouts that
people's files have (steps/preprocess/layouts/formats.py does), and judges no content.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from steps.shared.contract import StepError

Messages = list[dict[str, Any]]
Tools = list[dict[str, Any]] | None
TemplateArguments = dict[str, Any] | None

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
OF_FEEDBACK, OF_CANDIDATES = "feedback:", "candidates:"  # how source_file begins in pairs that these steps made
MADE = (OF_FEEDBACK, OF_CANDIDATES)
OF_CANARY = "canary:"  # and in those of the canary set
ROWS_PER_GROUP = 1000  # what a reader holds in memory, and a fixed number so that the same rows give the same bytes
BYTES_PER_GROUP = 64 * 2**20  # of huge rows there are fewer in a group
REPEATING = ["tools", "format", "source_file"]  # columns whose values come again and again
REPEATED = pa.dictionary(pa.int32(), pa.string())
HELD = pa.schema([field.with_type(REPEATED) if field.name in REPEATING else field for field in SCHEMA])
ARGUMENTS = "chat_template_kwargs"  # a column of files in which a row has some, and of no other
HELD_WITH_ARGUMENTS = HELD.append(pa.field(ARGUMENTS, REPEATED))
FORM = {
    "compression": "zstd",
    "dictionary_pagesize_limit": BYTES_PER_GROUP,
    "write_statistics": False,  # nobody looks for a conversation by its alphabetical place
    "store_schema": False,  # readers are to see SCHEMA: that the columns come from dictionaries is nothing to them
}


def part_name(number: int) -> str:
    """The name of a data set's nth Parquet file."""
    return f"part-{number:05d}.parquet"


@dataclass(frozen=True)
class Record:
    """One preference pair. `id` comes from the content alone; `source_*` say where the row stood.

    `chat_template_kwargs` are what this row's chat template is given besides, and instead of, the run's; never empty.
    """

    id: str
    prompt: Messages
    chosen: Messages
    rejected: Messages
    tools: Tools
    format: str
    source_file: str
    source_line: int
    chat_template_kwargs: TemplateArguments = None

    @property
    def of_feedback(self) -> bool:
        """Whether Collect made it of what people said about an answer."""
        return self.source_file.startswith(OF_FEEDBACK)

    @property
    def of_canary(self) -> bool:
        """Whether it is of the set that is never trained on, and judged each time."""
        return self.source_file.startswith(OF_CANARY)


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


def pair_id(prompt: bytes, chosen: bytes, rejected: bytes, tools: bytes, arguments: bytes = b"") -> bytes:
    """A stable hash of a row, 16 bytes, from the canonical JSON of its messages and the digest of its tools.

    A row and its reverse (the same pair with the preference turned round) differ in the last bit alone.

    Args:
        arguments: canonical JSON of the row's own template arguments; empty where it has none.
    """
    turned = chosen > rejected
    first, second = (rejected, chosen) if turned else (chosen, rejected)
    parts = (tools, prompt, first, second, *([arguments] if arguments else []))
    digest = hashlib.sha256(b"\n".join(parts)).digest()  # no line breaks in such JSON
    return digest[:15] + bytes((digest[15] & 0xFE | turned,))


def canonical_messages(messages: Messages, text: bytes | None = None) -> bytes:
    """What makes two conversations the same, as JSON: everything but the ids of calls, which are drawn at random.

    `text` is the messages' own JSON, where it is at hand: with no calls in them it is canonical as it stands, because
    Preprocess writes the keys of a message in one order.
    """
    text = text or orjson.dumps(messages)
    has_id = b'"tool_call_id":' in text  # a key: in what is said, a quotation mark has a backslash before it
    if not has_id and b'"tool_calls":' not in text:
        return text
    return canonical(content(messages) if has_id or b'"id":' in text else messages)


def content_id(
    prompt: Messages, chosen: Messages, rejected: Messages, tools: Tools, arguments: TemplateArguments = None
) -> str:
    """What a row says, as 32 hexadecimal digits; `arguments` are the row's own of its chat template."""
    digest = tools_digest(tool_digest(orjson.dumps(tool)) for tool in tools or ())
    asked, better, worse = map(canonical_messages, (prompt, chosen, rejected))
    return pair_id(asked, better, worse, digest, canonical(arguments) if arguments else b"").hex()


class EncodedRecord(NamedTuple):
    """A record as Parquet holds it, in the order of its columns; messages, tools and template arguments are JSON."""

    id: str
    prompt: bytes
    chosen: bytes
    rejected: bytes
    tools: bytes | None
    format: str
    source_file: str
    source_line: int
    chat_template_kwargs: bytes | None = None


def encode(record: Record) -> EncodedRecord:
    prompt, chosen, rejected = map(orjson.dumps, (record.prompt, record.chosen, record.rejected))
    tools = None if record.tools is None else orjson.dumps(record.tools)
    arguments = orjson.dumps(record.chat_template_kwargs) if record.chat_template_kwargs else None
    where = record.source_file, record.source_line
    return EncodedRecord(record.id, prompt, chosen, rejected, tools, record.format, *where, arguments)


def decode(row: EncodedRecord) -> Record:
    prompt, chosen, rejected = map(orjson.loads, (row.prompt, row.chosen, row.rejected))
    tools = None if row.tools is None else orjson.loads(row.tools)
    arguments = None if row.chat_template_kwargs is None else orjson.loads(row.chat_template_kwargs)
    return Record(row.id, prompt, chosen, rejected, tools, row.format, row.source_file, row.source_line, arguments)


class RecordGroups:
    """Rows as Arrow tables, a table for each row group of the file that they become."""

    def __init__(self) -> None:
        self._rows: list[EncodedRecord] = []
        self._bytes = 0
        self._tables: list[pa.Table] = []

    def add(self, row: EncodedRecord) -> None:
        self._rows.append(row)
        self._bytes += len(row.prompt) + len(row.chosen) + len(row.rejected) + len(row.chat_template_kwargs or b"")
        if len(self._rows) == ROWS_PER_GROUP or self._bytes > BYTES_PER_GROUP:
            self._close()

    def _close(self) -> None:
        self._tables.append(_table(self._rows))
        self._rows, self._bytes = [], 0

    def tables(self) -> list[pa.Table]:
        """All rows added so far, with the columns of HELD, and the template arguments where a row has some; the next
        row begins a new group."""
        if self._rows:
            self._close()
        if any(table[ARGUMENTS].null_count < len(table) for table in self._tables):
            return self._tables
        return [table.drop_columns([ARGUMENTS]) for table in self._tables]


def _table(rows: list[EncodedRecord]) -> pa.Table:
    """Rows as Arrow, by way of buffers: building arrays from Python objects is slower, and imports pandas."""
    ids, prompts, chosen, rejected, tools, formats, files, lines, arguments = zip(*rows, strict=True)
    arrays = [
        _texts([text.encode() for text in ids]),
        *(_texts(texts) for texts in (prompts, chosen, rejected)),
        *(_repeating(values) for values in (tools, formats, files)),
        pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(np.array(lines, np.int64))]),
        _repeating(arguments),
    ]
    return pa.table(arrays, schema=HELD_WITH_ARGUMENTS)


def _texts(texts: Sequence[bytes]) -> pa.Array:
    """Texts, known to be UTF-8, as one array."""
    offsets = np.zeros(len(texts) + 1, np.int32)
    np.cumsum(np.fromiter(map(len, texts), np.int32, len(texts)), out=offsets[1:])
    return pa.Array.from_buffers(pa.string(), len(texts), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(texts))])


def _repeating(values: Sequence[str | bytes | None]) -> pa.Array:
    """Texts as one array that holds equal ones once."""
    places: dict[Any, int] = {}
    numbers = np.fromiter((places.setdefault(value, len(places)) for value in values), np.int32, len(values))
    there = _bitmap(numbers != places[None]) if None in places else None
    texts = [value.encode() if isinstance(value, str) else value or b"" for value in places]
    indices = pa.Array.from_buffers(pa.int32(), len(numbers), [there, pa.py_buffer(numbers)])
    return pa.DictionaryArray.from_arrays(indices, _texts(texts))


def _bitmap(mask: np.ndarray) -> pa.Buffer:
    return pa.py_buffer(np.packbits(mask, bitorder="little"))


def write_part(path: Path, tables: Iterable[pa.Table], keep: np.ndarray) -> list[Record]:
    """Write tables as a Parquet file, without the rows for which the mask says False; returns these.

    The file appears when it is whole, and may be the one that the tables are read from. Where no row is kept there is
    no file. Tables with template arguments are all in memory at a time, since one row decides on the file's columns.

    Args:
        tables: with the columns of HELD, and all or none of them with the template arguments.
        keep: bool, shape (rows,), one for each row of all tables.
    """
    out: list[Record] = []
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.tmp")
    try:
        schema, tables = _columns_for(iter(tables), keep)
        with pq.ParquetWriter(beside, schema, use_dictionary=_repeating_names(schema), **FORM) as file:
            start = 0
            for table in tables:
                mask = keep[start : start + len(table)]
                start += len(table)
                if not mask.all():
                    stays = pa.Array.from_buffers(pa.bool_(), len(mask), [None, _bitmap(mask)])
                    gone = table.filter(pc.invert(stays))
                    out += [decode(EncodedRecord(**row)) for row in gone.to_pylist()]
                    table = _compact(table.filter(stays))
                if len(table):
                    file.write_table(table.select(schema.names))
        if keep.any():
            os.replace(beside, path)
        else:
            path.unlink(missing_ok=True)
    finally:
        beside.unlink(missing_ok=True)
    return out


def _columns_for(tables: Iterator[pa.Table], keep: np.ndarray) -> tuple[pa.Schema, Iterable[pa.Table]]:
    """The columns of a file for the rows that are kept, and the tables: template arguments only where one has some."""
    first = next(tables, None)
    if first is None or ARGUMENTS not in first.column_names:
        return HELD, itertools.chain([] if first is None else [first], tables)
    whole = [first, *tables]
    has = np.concatenate([table[ARGUMENTS].is_valid().to_numpy() for table in whole])
    return HELD_WITH_ARGUMENTS if (has & keep).any() else HELD, whole


def _repeating_names(schema: pa.Schema) -> list[str]:
    return [field.name for field in schema if field.type == REPEATED]


def _compact(table: pa.Table) -> pa.Table:
    """The table without the repeating texts that only rows had which have left it."""
    for name in _repeating_names(table.schema):
        texts = table[name].cast(pa.string()).dictionary_encode()
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), texts)
    return table


def read_groups(path: Path) -> Iterator[pa.Table]:
    """The rows of a file that `write_part` wrote, a group at a time, with the columns of HELD and, where the file has
    them, the template arguments."""
    schema = HELD_WITH_ARGUMENTS if ARGUMENTS in pq.read_schema(path).names else HELD
    with pq.ParquetFile(path, read_dictionary=_repeating_names(schema)) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number).cast(schema)


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
                names = [name for name in (*SCHEMA.names, ARGUMENTS) if name in file.schema_arrow.names]
                for batch in file.iter_batches(ROWS_PER_GROUP, columns=names):
                    yield from (decode(EncodedRecord(**row)) for row in batch.to_pylist())
        except (pa.ArrowException, orjson.JSONDecodeError) as error:
            raise StepError(f"{path}: this data set is damaged ({error}); run Preprocess again") from None


def read_records(folder: Path) -> list[Record]:
    """All records of a folder; raises as `iter_records` does."""
    return list(iter_records(folder))
