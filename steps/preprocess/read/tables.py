"""CSV and TSV to raw rows, as JSON objects whose values are texts; an empty cell is no value.

The first line names the columns. Cells may be in quotes, and hold separators, line ends and doubled quotes there. What
separates them is the character that a name stands for, or where the first line has none of these, another that it has.
Many write TSV without quotes around cells: in a file of that name a line with all its cells is a row, and a quotation
mark that opens nothing is a character.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson

from steps.preprocess.rows import raw_row
from steps.preprocess.rows.raw_row import KEPT_BYTES, SPACE, RawRow
from steps.preprocess.rows.reasons import InvalidRow, Reason
from steps.shared.contract import StepError

TABS = (".tsv", ".tsv.gz", ".tsv.zst")
SEPARATORS = ",\t;|"
NEVER_CLOSED = "unexpected end of data"  # as csv says it
NAMES = {",": "comma", "\t": "tab", ";": "semicolon", "|": "vertical bar"}


def rows_of_table(label: str, path: Path, line: int, chunks: Iterable[bytes]) -> Iterator[RawRow]:
    """The rows of a text that comes in chunks, cut anywhere, and begins on `line` with the names of its columns.

    Raises:
        StepError: there are no names, or two are the same; a quote is never closed.
    """
    csv.field_size_limit(raw_row.MAX_ROW_BYTES)
    lines = _Lines(label, path, line, chunks)
    is_tsv = label.lower().endswith(TABS)
    separator = _separator(lines, is_tsv)
    if not separator:
        return
    reader = csv.reader(lines, delimiter=separator, strict=True)
    names = _names(path, reader, separator)
    while True:
        lines.begin_row()
        try:
            cells = (lines.unquoted_row(len(names)) if is_tsv and separator == "\t" else None) or next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield lines.broken_row(_told(error))
            continue
        if not cells:
            continue
        if len(cells) != len(names):
            wrong = (
                f"{len(cells)} cells, but the first line names {len(names)} columns; is a quote or separator missing?"
            )
            yield lines.row_with(InvalidRow(Reason.TABLE_ROW, wrong))
            continue
        try:
            data = orjson.dumps({name: cell for name, cell in zip(names, cells, strict=True) if cell})
        except orjson.JSONEncodeError:
            yield lines.row_with(InvalidRow(Reason.INVALID_UTF8, "a cell holds bytes that are not UTF-8"))
            continue
        yield RawRow(label, lines.row_line, data)


def _names(path: Path, reader: Iterator[list[str]], separator: str) -> list[str]:
    try:
        names = [name.strip() or f"Unnamed: {at}" for at, name in enumerate(next(reader, []))]
    except csv.Error as error:
        raise StepError(f"{path}: the first line, which must name the columns, is no CSV: {_told(error)}") from None
    if len(names) < 2:
        known = ", ".join(NAMES.values())
        raise StepError(
            f"{path}: the first line must name the columns, with one of these between them: {known}; it has {names}"
        )
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise StepError(f"{path}: {count} columns are called {name!r}; a row can have one; rename them")
    return names


def _separator(lines: _Lines, tab: bool) -> str:
    """What stands between the names of the columns; nothing in an empty text. Excel may say it in a line before."""
    first = lines.peek()
    if not first:
        return ""
    if first.startswith("sep=") and len(first.strip("\r\n")) == len("sep=") + 1:
        next(lines)
        return first[len("sep=")]
    usual = "\t" if tab else ","
    return usual if usual in first else max(SEPARATORS, key=first.count)


def _cells(line: str) -> list[str]:
    return line.rstrip("\r\n").split("\t")


def _unquoted(cell: str) -> str:
    """A cell without the quotes around it, if these are all that it has, beside doubled ones."""
    inside = cell[1:-1]
    if len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inside.replace('""', ""):
        return inside.replace('""', '"')
    return cell


def _told(error: csv.Error) -> str:
    return str(error).partition(" - ")[0]


class _Lines:
    """The lines of a text, one after the other, which remembers those of the row that is read."""

    def __init__(self, label: str, path: Path, line: int, chunks: Iterable[bytes]) -> None:
        self._label, self._path, self._source = label, path, _lines(chunks)
        self._again: list[bytes] = []  # lines that are to come once more, the next one last
        self._taken: list[bytes] = []  # by the row that is read
        self._size = 0
        self._next = line  # the number of the line that comes next
        self.row_line = line

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        text = self._again.pop() if self._again else next(self._source)
        self._taken.append(text)
        self._next += 1
        self._size += len(text)
        if self._size > raw_row.MAX_ROW_BYTES:
            raise StepError(
                f"{self._path}:{self.row_line}: the row that begins here does not end within "
                f"{raw_row.MAX_ROW_BYTES // 2**20} MiB; is a quote missing?"
            )
        return text.decode("utf-8", "surrogateescape")

    def peek(self) -> str:
        """The line that comes next, or nothing."""
        text = self._again[-1] if self._again else next(self._source, b"")
        if text and not self._again:
            self._again.append(text)
        return text.decode("utf-8", "surrogateescape")

    def unquoted_row(self, columns: int) -> list[str] | None:
        """The cells of the next line, if it has all of them; None, and nothing read, where a cell may go on behind it:
        one opens a quote that the line does not close, and what follows is no such line."""
        cells = _cells(self.peek())
        if len(cells) != columns:
            return None
        if any(cell.startswith('"') and cell.count('"') % 2 for cell in cells):
            first = self._again.pop()
            after = _cells(self.peek())
            self._again.append(first)
            if len(after) != columns:
                return None
        next(self)
        return [_unquoted(cell) for cell in cells]

    def begin_row(self) -> None:
        self._taken.clear()
        self._size = 0
        self.row_line = self._next

    def row_with(self, problem: InvalidRow) -> RawRow:
        """The row as it stands there, or the start of a long one, with what is wrong with it."""
        return RawRow(self._label, self.row_line, b"".join(self._taken)[:KEPT_BYTES].strip(SPACE), problem)

    def broken_row(self, said: str) -> RawRow:
        """The first line of the row that was read, which is no row of CSV; the others come again.

        Raises:
            StepError: the rest of the text was taken for one row.
        """
        if said == NEVER_CLOSED and len(self._taken) > 1:
            raise StepError(
                f"{self._path}:{self.row_line}: the row that begins here opens a quote that is never closed; close "
                'it, double the quotes inside of a cell (""), or copy the file again if it was cut off'
            )
        self._again += reversed(self._taken[1:])
        del self._taken[1:]
        self._next = self.row_line + 1
        return self.row_with(InvalidRow(Reason.TABLE_ROW, f"the line is no row of CSV: {said}"))


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines with their ends, as csv wants them."""
    held = b""
    for chunk in chunks:
        texts = (held + chunk).split(b"\n")
        held = texts.pop()
        yield from (text + b"\n" for text in texts)
        if len(held) > raw_row.MAX_ROW_BYTES:
            yield held  # which is beyond the limit: whoever reads it says so
            held = b""
    if held:
        yield held
