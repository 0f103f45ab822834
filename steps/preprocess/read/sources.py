"""Files to sources: pieces that can be read apart from each other, by any process, and that give raw rows.

Plain JSON Lines files are cut into ranges of bytes and Parquet files into row groups; what has to be read from its
start (compressed text, arrays, objects printed over several lines, CSV, Arrow) stays whole. Sources are plain data and
travel by pickle. Together, in order, they give every row once; what a row's bytes say is not looked at here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from steps.preprocess.read.arrow import rows_of_arrow
from steps.preprocess.read.compression import BOM, Container, container_of, readable, text_chunks
from steps.preprocess.read.json_arrays import ArrayCutter
from steps.preprocess.read.json_elements import ElementCutter
from steps.preprocess.read.json_lines import cut_lines
from steps.preprocess.read.parquet import groups_of, rows_of_groups
from steps.preprocess.read.shapes import SNIFF_BYTES, Shape, look_at
from steps.preprocess.read.tables import rows_of_table
from steps.preprocess.rows import raw_row
from steps.preprocess.rows.raw_row import RawRow
from steps.shared.contract import StepError

BLOCK_BYTES = 16 * 2**20
LINE_END = ord("\n")
SHOWN_FAULTS = 5  # of files that cannot be read at all


@dataclass(frozen=True)
class Segment:
    """The lines of a plain JSON Lines file that begin in [start, end). `line` is the number of the first of them."""

    label: str
    path: Path
    start: int
    end: int
    line: int

    @property
    def size(self) -> int:
        return self.end - self.start

    def rows(self) -> Iterator[RawRow]:
        return cut_lines(self.label, self.line, self._text())

    def _text(self) -> Iterator[bytes]:
        with readable(self.path), open(self.path, "rb") as file:
            at = self._seek_first_line(file)
            chunk = b"\n"
            while at < self.end:
                chunk = file.read(min(raw_row.CHUNK_BYTES, self.end - at))
                if not chunk:
                    raise StepError(f"{self.path}: became shorter while it was read; run again when it is complete")
                at += len(chunk)
                yield chunk
            while chunk and not chunk.endswith(b"\n"):  # the last line ends where it ends
                chunk = file.readline(raw_row.CHUNK_BYTES)
                yield chunk

    def _seek_first_line(self, file: BinaryIO) -> int:
        if self.start == 0:
            at = len(BOM) if file.read(len(BOM)) == BOM else 0
            return file.seek(at)
        at = file.seek(self.start - 1)
        while at < self.end:
            text = file.readline(raw_row.CHUNK_BYTES)
            at += len(text)
            if not text or text.endswith(b"\n"):
                break
        return at


@dataclass(frozen=True)
class Stream:
    """A file that is read from its start: compressed, an array, objects printed over several lines, CSV, Arrow."""

    label: str
    path: Path
    size: int

    def rows(self) -> Iterator[RawRow]:
        return read_rows(self.label, self.path)


@dataclass(frozen=True)
class RowGroups:
    """The row groups [first, last) of a Parquet file. `line` is the number of their first row, from 1.

    `size` is that of their columns before compression.
    """

    label: str
    path: Path
    first: int
    last: int
    line: int
    size: int

    def rows(self) -> Iterator[RawRow]:
        return rows_of_groups(self.label, self.path, range(self.first, self.last), self.line)


Source = Segment | Stream | RowGroups


def read_rows(label: str, path: Path) -> Iterator[RawRow]:
    """All rows of one file, in its order.

    Raises:
        StepError: the file cannot be read or decompressed to its end, or cannot be cut into rows.
    """
    container = container_of(path)
    if container is Container.PARQUET:
        return rows_of_groups(label, path, range(len(groups_of(path))), 1)
    if container is Container.ARROW:
        return rows_of_arrow(label, path)
    return _rows_of_text(label, path)


def plan(files: Sequence[tuple[str, Path]], block_bytes: int = BLOCK_BYTES) -> list[Source]:
    """The sources of files, in their order, of about `block_bytes` where a file can be cut. Looks at no more of a file
    than its start, or a Parquet file's directory.

    Segments behind a file's first one do not know their line yet: see `needs_lines` and `numbered`.

    Raises:
        StepError: files cannot be opened, are no data but something else, or are damaged Parquet files; of several of
            them it names some.
    """
    sources: list[Source] = []
    faults: list[str] = []
    for label, path in files:
        try:
            sources += _sources_of(label, path, block_bytes)
        except StepError as error:
            faults.append(str(error))
    if faults:
        more = [f"and {len(faults) - SHOWN_FAULTS} more files"] if len(faults) > SHOWN_FAULTS else []
        raise StepError("\n".join([*faults[:SHOWN_FAULTS], *more]))
    return sources


def _sources_of(label: str, path: Path, block: int) -> Sequence[Source]:
    container = container_of(path)
    if container is Container.PARQUET:
        return list(_row_groups(label, path, block))
    if container is Container.PLAIN and look_at(label, path, text_chunks(path, SNIFF_BYTES)).shape is Shape.LINES:
        return _segments(label, path, max(block, len(BOM) + 1))
    return [Stream(label, path, path.stat().st_size)]


def _segments(label: str, path: Path, block: int) -> list[Segment]:
    size = path.stat().st_size
    return [Segment(label, path, start, min(start + block, size), 0 if start else 1) for start in range(0, size, block)]


def _row_groups(label: str, path: Path, block: int) -> Iterator[RowGroups]:
    first, line, rows, size = 0, 1, 0, 0
    groups = groups_of(path)
    for number, group in enumerate(groups, 1):
        rows, size = rows + group.rows, size + group.size
        if number == len(groups) or size + groups[number].size > block:
            yield RowGroups(label, path, first, number, line, size)
            first, line, rows, size = number, line + rows, 0, 0


def needs_lines(sources: Sequence[Source]) -> list[Segment]:
    """The segments that must be counted, so that those behind them in their files learn their line."""
    return [
        source
        for source, after in itertools.pairwise(sources)
        if isinstance(source, Segment) and isinstance(after, Segment) and after.start > 0
    ]


def count_lines(segment: Segment) -> int:
    """How many lines begin in a segment."""
    begun = segment.start == 0
    lines, at = int(begun and segment.end > 0), segment.start if begun else segment.start - 1
    with readable(segment.path), open(segment.path, "rb") as file:
        file.seek(at)
        while at < segment.end - 1:  # a line end in the last byte begins a line of the next segment
            chunk = file.read(min(raw_row.CHUNK_BYTES, segment.end - 1 - at))
            if not chunk:
                break
            lines += int(np.count_nonzero(np.frombuffer(chunk, np.uint8) == LINE_END))  # twice as fast as bytes.count
            at += len(chunk)
    return lines


def numbered(sources: Sequence[Source], counts: Iterable[int]) -> Iterator[Source]:
    """The sources, with the lines of segments filled in from the counts of those that `needs_lines` names, in order.

    A count is asked for when the source behind its segment is.
    """
    uncounted, counted = frozenset(needs_lines(sources)), iter(counts)
    line = 1
    for source in sources:
        if not isinstance(source, Segment):
            yield source
            continue
        line = line if source.start else 1
        yield replace(source, line=line)
        if source in uncounted:
            line += next(counted)


def _rows_of_text(label: str, path: Path) -> Iterator[RawRow]:
    text = look_at(label, path, text_chunks(path, raw_row.CHUNK_BYTES))
    if text.shape is Shape.LINES:
        return cut_lines(label, text.line, text.chunks)
    if text.shape is Shape.TABLE:
        return rows_of_table(label, path, text.line, text.chunks)
    if text.shape is Shape.OBJECTS:
        return ElementCutter(label, path, text.line, text.chunks).rows()
    cutter = ArrayCutter(label, path, text.line, text.chunks)
    return cutter.rows_of_array(text.first_row, wrapped=text.shape is Shape.WRAPPED)
