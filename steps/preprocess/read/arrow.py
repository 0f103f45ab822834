"""Arrow streams, which `save_to_disk` of datasets writes, and Arrow files (Feather 2) to raw rows, slice by slice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from steps.preprocess.read.arrow_values import check_schema, rows_at_a_time, rows_of_batch
from steps.preprocess.read.compression import readable
from steps.preprocess.rows.raw_row import RawRow
from steps.shared.contract import StepError

FILE = b"ARROW1"
END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"


def rows_of_arrow(label: str, path: Path) -> Iterator[RawRow]:
    """The rows of a file, numbered from 1.

    Raises:
        StepError: the file is damaged or cut off, or holds values that cannot be told as JSON.
    """
    number = 1
    with readable(path), pa.memory_map(str(path)) as source:
        for batch in _batches(path, source):
            rows = rows_at_a_time(batch.num_rows, batch.nbytes)
            for start in range(0, batch.num_rows, rows):
                part = batch.slice(start, rows)
                yield from rows_of_batch(label, number, part)
                number += part.num_rows


def _batches(path: Path, source: pa.MemoryMappedFile) -> Iterator[pa.RecordBatch]:
    try:
        if source.read(len(FILE)) == FILE:
            with pa.ipc.open_file(source) as file:
                check_schema(path, file.schema)
                yield from (file.get_batch(number) for number in range(file.num_record_batches))
            return
        _check_end(path, source)
        with pa.ipc.open_stream(source) as stream:
            check_schema(path, stream.schema)
            yield from stream
    except pa.ArrowException as error:
        raise StepError(f"{path}: this Arrow file is damaged or was cut off ({error}); copy the file again") from None


def _check_end(path: Path, source: pa.MemoryMappedFile) -> None:
    """Raises StepError where a stream has no end mark: cut between two batches, it could be read without an error."""
    source.seek(max(source.size() - len(END_OF_STREAM), 0))
    if source.read() != END_OF_STREAM:
        raise StepError(f"{path}: this Arrow file was cut off: its end mark is missing; copy the file again")
    source.seek(0)
