"""Files to raw rows: finds the files, opens them (plain or gzip), and cuts JSON Lines and JSON arrays into rows.

Streams: what is in memory is one row, or one chunk of an array. A row is only cut out here, and parsed elsewhere, so
that damage stays with the row that has it: strings end with their line, and after a row whose brackets do not close,
reading goes on where a later one begins as the first one did. Every byte that is not white space or punctuation
between rows ends up in some row. Does not read Parquet, CSV or archives.
"""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import orjson

from steps.contract import StepError
from steps.preprocess.reasons import InvalidRow, Reason

SUFFIXES = (".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz")
LINES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
MAX_ROW_BYTES = 64 * 2**20
CHUNK_BYTES = 2**20
KEPT_BYTES = 10_000  # of a row that is too large to be kept whole in quarantine
BOM = b"\xef\xbb\xbf"
SPACE = b" \t\r\n"
BETWEEN = re.compile(rb"[ \t\r\n,]*")
BRACKET = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\\r\n]++|\\.)*+"?)*+([{}\[\]])')  # everything up to the next bracket
SCALAR = re.compile(rb'(?:"(?:[^"\\\r\n]++|\\.)*+"?|[^",\[\]{}\r\n])*+')
HEAD = re.compile(rb'\{\s*"(?:[^"\\\r\n]|\\.)*"')  # how a row begins: its bracket and its first key


@dataclass(frozen=True)
class RawRow:
    """A row's bytes and the line on which it begins, from 1. `problem` is set where it cannot be a row at all."""

    file: str
    line: int
    data: bytes
    problem: InvalidRow | None = None


@dataclass(frozen=True)
class Inputs:
    """The files to read, each with the name that reports give it, and the names of those that are left alone."""

    files: list[tuple[str, Path]]
    ignored: list[str]


def find_inputs(path: Path) -> Inputs:
    """The data files of a folder and the folders in it, in the order of their names; or the one file.

    Hidden files are left alone and not named.

    Raises:
        StepError: there is no such path, or no data file in it.
    """
    if path.is_file():
        return Inputs([(_label(path.name), path)], [])
    if not path.is_dir():
        raise StepError(f"{path}: no such file or folder; --input must name a data file or a folder of them")
    found: list[tuple[str, Path]] = []
    ignored: list[str] = []
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            file = Path(folder, name)
            label = _label(file.relative_to(path).as_posix())
            if name.lower().endswith(SUFFIXES):
                found.append((label, file))
            elif not name.startswith("."):
                ignored.append(label)
    found = [(label, file) for label, file in found if not file.name.startswith(".")]
    if not found:
        others = f" (it holds {', '.join(sorted(ignored)[:5])})" if ignored else ""
        raise StepError(f"{path}: no data file in this folder{others}; readable are {', '.join(SUFFIXES)}")
    return Inputs(sorted(found), sorted(ignored))


def _label(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "replace")


def read_rows(label: str, path: Path) -> Iterator[RawRow]:
    """The rows of one file, in its order.

    Raises:
        StepError: the file cannot be read or decompressed to its end, or cannot be cut into rows.
    """
    try:
        with _open(path) as stream:
            start = stream.peek(len(BOM))[: len(BOM)]
            if start == BOM:
                stream.read(len(BOM))
            yield from _array_or_lines(label, stream)
    except (OSError, EOFError, zlib.error) as error:
        raise StepError(f"{path}: cannot be read to its end ({error}); copy the file again") from None


def _open(path: Path) -> gzip.GzipFile | BinaryIO:
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else open(path, "rb")


def _array_or_lines(label: str, stream: BinaryIO) -> Iterator[RawRow]:
    """Look at the first line that is not blank, and cut the file by what it turns out to be."""
    number, line = 1, stream.readline(CHUNK_BYTES)
    while line and not line.strip(SPACE):
        number, line = number + line.endswith(b"\n"), stream.readline(CHUNK_BYTES)
    text = line.strip(SPACE)
    if text == b"{":  # rows that are printed over several lines, one after the other
        yield from _Cutter(label, stream, number, line).rows(closed=True)
    elif _opens_array(label, text):
        yield from _Cutter(label, stream, number, line.lstrip(SPACE)[1:]).rows(closed=False)
    elif line:
        if not line.endswith(b"\n"):
            line += stream.readline(MAX_ROW_BYTES - len(line))
        yield from _lines(label, stream, number, line)


def _opens_array(label: str, text: bytes) -> bool:
    """Whether the file is one array. Where its name says lines, a bracket alone may be the start of a damaged row."""
    if not text.startswith(b"["):
        return False
    return not label.lower().endswith(LINES) or text[1:].lstrip(SPACE)[:1] in (b"", b"{")


def _lines(label: str, stream: BinaryIO, number: int, line: bytes) -> Iterator[RawRow]:
    while line:
        if len(line) == MAX_ROW_BYTES and not line.endswith(b"\n"):
            problem = InvalidRow(Reason.TOO_LARGE, f"the line is longer than {MAX_ROW_BYTES // 2**20} MiB")
            yield RawRow(label, number, line[:KEPT_BYTES], problem)
            while line and not line.endswith(b"\n"):
                line = stream.readline(CHUNK_BYTES)
        elif line.strip(SPACE):
            yield RawRow(label, number, line.strip(SPACE))
        number, line = number + 1, stream.readline(MAX_ROW_BYTES)


class _Cutter:
    """Cuts the elements of an array, or objects that just follow each other, out of a stream, without parsing them."""

    def __init__(self, label: str, stream: BinaryIO, line: int, start: bytes) -> None:
        self._label = label
        self._stream = stream
        self._buffer = start
        self._at = 0  # where the next element is looked for
        self._line, self._counted = line, 0  # the line at the place up to which line ends are counted
        self._ended = False
        self._resume: re.Pattern[bytes] | None = None

    def rows(self, closed: bool) -> Iterator[RawRow]:
        """The elements. `closed` says that no bracket is open, so that the end of the file needs none."""
        while self._seek():
            if self._buffer[self._at] == ord("]"):
                closed, self._at = True, self._at + 1
                continue
            end = self._end()
            line = self._line_of(self._at)
            yield RawRow(self._label, line, self._buffer[self._at : end].strip(SPACE))
            self._at = end
        if not closed:
            problem = InvalidRow(Reason.NOT_JSON, "the array has no closing ]: the file looks cut off")
            yield RawRow(self._label, self._line_of(len(self._buffer)), b"", problem)

    def _seek(self) -> bool:
        """Go to the next byte that is not between elements; False at the end of the file."""
        while True:
            self._at = BETWEEN.match(self._buffer, self._at).end()
            if self._at < len(self._buffer):
                return True
            if not self._more():
                return False

    def _more(self) -> bool:
        """Read on, and let go what lies before the current element. Chunks grow with what is kept, to stay linear."""
        if self._ended:
            return False
        self._line_of(self._at)
        kept = self._buffer[self._at :]
        chunk = self._stream.read(max(CHUNK_BYTES, len(kept)))
        self._ended = not chunk
        self._buffer, self._at, self._counted = kept + chunk, 0, 0
        return not self._ended

    def _line_of(self, place: int) -> int:
        self._line += self._buffer.count(b"\n", self._counted, place)
        self._counted = place
        return self._line

    def _end(self) -> int:
        """Where the element that begins here ends, reading on until its end is in sight."""
        while True:
            end = self._balanced_end() if self._buffer[self._at] in b"{[" else self._scalar_end()
            if end is not None or len(self._buffer) - self._at > MAX_ROW_BYTES or not self._more():
                break
        if self._resume is None:
            head = HEAD.match(self._buffer, self._at)
            self._resume = re.compile(rb"[,\s](" + re.escape(head[0]) + rb")") if head else None
        if end is not None and not self._holds_another(end):
            return end
        found = self._resume.search(self._buffer, self._at + 1) if self._resume else None
        if found:
            return found.start(1)
        if end is None and not self._ended:
            limit = f"{MAX_ROW_BYTES // 2**20} MiB"
            where = f"{self._label}:{self._line_of(self._at)}"
            raise StepError(
                f"{where}: the row that begins here does not end within {limit}; is a bracket or quote missing?"
            )
        return len(self._buffer) if end is None else end

    def _balanced_end(self) -> int | None:
        depth, place = 0, self._at
        while found := BRACKET.match(self._buffer, place):
            depth += 1 if found[1] in b"{[" else -1
            place = found.end()
            if depth == 0:
                return place
        return None

    def _scalar_end(self) -> int | None:
        """The end of a number, a string, or rubbish; of one byte at least, so that a stray bracket is a row too."""
        end = SCALAR.match(self._buffer, self._at).end()
        return None if end == len(self._buffer) and not self._ended else max(end, self._at + 1)

    def _holds_another(self, end: int) -> bool:
        """Whether another row begins inside a broken one, whose brackets close by accident."""
        if not self._resume or not self._resume.search(self._buffer, self._at + 1, end):
            return False
        try:
            orjson.loads(self._buffer[self._at : end])
        except orjson.JSONDecodeError:
            return True
        return False
