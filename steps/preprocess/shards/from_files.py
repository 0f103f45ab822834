"""Files to shards: which layout each file has, and which of its pieces are worked on together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from steps.preprocess.read.sources import (
    RowGroups,
    Segment,
    Source,
    Stream,
    count_lines,
    needs_lines,
    numbered,
    plan,
    read_rows,
)
from steps.preprocess.rows.raw_row import RawRow
from steps.preprocess.rows.rules import Rules
from steps.preprocess.shards.convert import file_layout
from steps.preprocess.shards.shard import Shard, Side
from steps.shared.records import MADE

Files = list[tuple[str, Path]]
COLLECTED = "chat"  # the layout of pairs that Collect and Candidates wrote, whatever --format says of the others
HEAD_ROWS = 100  # of a file, from which its layout is told


class Sized(Protocol):
    """A piece of the data, with its size in bytes."""

    @property
    def size(self) -> int:
        """Bytes."""


Cut = TypeVar("Cut", bound=Sized)  # what a file becomes that has to be read from its start
Piece = TypeVar("Piece", bound=Sized)


class Rows(NamedTuple):
    """Rows that were read already, because their file cannot be read from several places."""

    label: str
    raws: list[RawRow]
    size: int

    def rows(self) -> Iterator[RawRow]:
        return iter(self.raws)


def total_size(files: Files) -> int:
    return sum(path.stat().st_size for _, path in files)


def _layout_name(label: str, path: Path, rules: Rules) -> str | None:
    """The name of the layout by which a file's rows are read; None where no row tells."""
    if label.startswith(MADE):
        return COLLECTED
    layout = file_layout(list(itertools.islice(read_rows(label, path), HEAD_ROWS)), rules)
    return layout.format.name if layout.format else None


def local_shards(
    files: Files, rules: Rules, shard_bytes: int, first: int = 0, side: Side | None = None
) -> Iterator[Shard[Segment | RowGroups | Rows]]:
    """The shards of files on this machine, in the files' order; depends on the files alone, and on no machine.

    Files that have to be read from their start (compressed, or one JSON array) are read here, and lines are counted
    here, while the workers convert what was read before.
    """
    sources = plan(files, shard_bytes)
    lined = numbered(sources, map(count_lines, needs_lines(sources)))
    return shards(lined, partial(read_stream, shard_bytes=shard_bytes), rules, shard_bytes, first, side)


def shards(
    sources: Iterable[Source],
    cut: Callable[[Stream], Iterable[Cut]],
    rules: Rules,
    shard_bytes: int,
    first: int,
    side: Side | None,
) -> Iterator[Shard[Segment | RowGroups | Cut]]:
    """The shards of sources, numbered from `first`; `cut` makes several sources of a file that cannot be split."""
    for number, pieces in enumerate(pack(_pieces(sources, cut, rules), shard_bytes), first):
        yield Shard(number, tuple(pieces), side)


def _pieces(
    sources: Iterable[Source], cut: Callable[[Stream], Iterable[Cut]], rules: Rules
) -> Iterator[tuple[Segment | RowGroups | Cut, str | None]]:
    """The pieces in order, each with the name of its file's layout."""
    for (label, path), of_file in itertools.groupby(sources, key=lambda source: (source.label, source.path)):
        name = _layout_name(label, path, rules)
        for source in of_file:
            if isinstance(source, Stream):
                yield from ((piece, name) for piece in cut(source))
            else:
                yield source, name


def read_stream(stream: Stream, shard_bytes: int) -> Iterator[Rows]:
    """The rows of a file that has to be read from its start, as many at a time as come to a shard."""
    raws: list[RawRow] = []
    size = 0
    for raw in stream.rows():
        raws.append(raw)
        size += len(raw.data)
        if size >= shard_bytes:
            yield Rows(stream.label, raws, size)
            raws, size = [], 0
    if raws:
        yield Rows(stream.label, raws, size)


def pack(pieces: Iterable[tuple[Piece, str | None]], shard_bytes: int) -> Iterator[list[tuple[Piece, str | None]]]:
    """Put neighbouring pieces together until they come to a shard."""
    packed: list[tuple[Piece, str | None]] = []
    size = 0
    for piece in pieces:
        if packed and size + piece[0].size > shard_bytes:
            yield packed
            packed, size = [], 0
        packed.append(piece)
        size += piece[0].size
    if packed:
        yield packed
