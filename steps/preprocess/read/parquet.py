"""Parquet row groups to raw rows, a batch in memory at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from steps.preprocess.read.arrow_values import check_schema, rows_at_a_time, rows_of_batch
from steps.preprocess.read.compression import readable
from steps.preprocess.rows import raw_row
from steps.preprocess.rows.raw_row import RawRow
from steps.shared.contract import StepError, first_line


class Group(NamedTuple):
    """A row group: its rows, and the bytes of their columns before compression."""

    rows: int
    size: int


def groups_of(path: Path) -> list[Group]:
    """
    Raises:
        StepError: the file is damaged, or has two columns or keys of one name.
    """
    with _opened(path) as file:
        groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
    return [Group(group.num_rows, group.total_byte_size) for group in groups]


def rows_of_groups(label: str, path: Path, groups: Iterable[int], number: int) -> Iterator[RawRow]:
    """The rows of some groups; `number` is that of their first one, from 1.

    Raises:
        StepError: the file is damaged, or holds values that cannot be told as JSON.
    """
    with _opened(path) as file:
        for group in groups:
            rows, size = file.metadata.row_group(group).num_rows, file.metadata.row_group(group).total_byte_size
            end = number + rows
            for batch in file.iter_batches(rows_at_a_time(rows, size), row_groups=[group], use_threads=False):
                yield from rows_of_batch(label, number, batch)
                number += batch.num_rows
            if number != end:
                raise StepError(
                    f"{path}: row group {group} lacks {end - number} of its {rows} rows; copy the file again"
                )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    options = {"buffer_size": raw_row.CHUNK_BYTES, "page_checksum_verification": True}
    with readable(path), open(path, "rb") as source, _parquet_file(path, source, options) as file:
        check_schema(path, file.schema_arrow)
        yield file


def _parquet_file(path: Path, source: BinaryIO, options: Mapping[str, Any]) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(source, **options)
    except (pa.ArrowException, OSError) as error:
        raise StepError(
            f"{path}: this Parquet file is damaged or was cut off ({first_line(error)}); copy the file again"
        ) from None
