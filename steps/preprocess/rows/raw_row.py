"""A row as it stood in its file, not parsed yet, and the limits that all readers share."""

from __future__ import annotations

from typing import NamedTuple

from steps.preprocess.rows.reasons import InvalidRow

MAX_ROW_BYTES = 64 * 2**20
KEPT_BYTES = 10_000  # of a row that is too large to be kept whole in quarantine
CHUNK_BYTES = 2**18  # what is read at a time; fits the cache
SPACE = b" \t\r\n"  # what JSON takes for white space


class RawRow(NamedTuple):
    """A row's bytes and where it begins: its line, from 1, or its number in a Parquet file.

    `problem` is set where it cannot be a row at all.
    """

    file: str
    line: int
    data: bytes
    problem: InvalidRow | None = None
