"""How a text holds its rows: a line each, one array, objects one after the other, an array in an object, or a table.

Told by the start of the text, in the end by its first object. What holds rows in a shape that nobody reads (columns
instead of rows, Python's repr, a table under a name of JSON) is refused by name.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from enum import Enum, auto
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import orjson

from steps.preprocess.read import literals
from steps.preprocess.rows import raw_row
from steps.preprocess.rows.raw_row import SPACE
from steps.preprocess.rows.reasons import InvalidRow
from steps.shared.contract import StepError

SNIFF_BYTES = 2**16
ROW_BYTES = 2**20  # of a file that may be one row, and is parsed to see
BETWEEN = SPACE + b","  # what stands between rows
LINES = tuple(name + packed for name in (".jsonl", ".ndjson") for packed in ("", ".gz", ".zst"))
TABLES = tuple(name + packed for name in (".csv", ".tsv") for packed in ("", ".gz", ".zst"))
BRACKET = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\\r\n]++|\\.)*+"?)*+([{}\[\]])')  # everything up to the next bracket
WRAPPERS = ("data", "rows", "examples", "records", "items", "instances", "samples", "dataset", "train", "pairs")
WRAPPER = re.compile(rb'"(?:' + "|".join(WRAPPERS).encode() + rb')"\s*:\s*\[\Z')
FIELDS = ("prompt", "chosen", "rejected", "messages", "conversations", "conversation", "input")  # of a row, not a file
REPR = re.compile(rb"\[?\s*\{\s*'")
COLUMNS = re.compile(rb'\{\s*"(?:[^"\\]|\\.)*"\s*:\s*\{\s*"0"\s*:|\{\s*"0"\s*:\s*\{')
SPLIT = re.compile(rb'\{\s*"columns"\s*:\s*\[\s*"')
NAME = re.compile(rb"[A-Za-z_][\w .-]{0,60}")
SEPARATORS = b",\t;|"
AS_ROWS = 'write it by rows: to_json(path, orient="records", lines=True)'
BY_COLUMNS = f"holds a table by columns, as DataFrame.to_json writes it by default; {AS_ROWS}"
NAMES_APART = f'holds a table with its names apart, as orient="split" writes it; {AS_ROWS}'


class Shape(Enum):
    LINES = auto()
    OBJECTS = auto()  # printed over several lines, or one after the other
    ARRAY = auto()
    WRAPPED = auto()  # {"data": [...]}
    TABLE = auto()


class Text(NamedTuple):
    """A text that was looked at.

    Attributes:
        line: the number of the line that the chunks begin on, which is its first one that is not blank.
        chunks: the text from there on, cut anywhere.
        first_row: where in the first chunk the array of the rows begins.
    """

    shape: Shape
    line: int
    chunks: Iterator[bytes]
    first_row: int = 0


def look_at(label: str, path: Path, chunks: Iterator[bytes]) -> Text:
    """
    Args:
        chunks: the text from its start, cut anywhere.

    Raises:
        StepError: its rows stand there in a shape that is known, and not read.
    """
    head, line = _from_first_line(chunks)
    table = label.lower().endswith(TABLES)
    if head.startswith(b"{"):
        return _of_objects(path, line, _Start(head, chunks))
    if table and not head.startswith(b"["):
        return Text(Shape.TABLE, line, itertools.chain((head,), chunks))
    first = head.partition(b"\n")[0].rstrip(SPACE)
    _refuse_repr(path, head)
    if _opens_array(label, first):
        return Text(Shape.ARRAY, line, itertools.chain((head,), chunks))
    start = _Start(head, chunks)
    if _is_header(first) and not start.has_objects():
        _refuse(path, "begins like CSV, with names of columns and no JSON; call it .csv, or .tsv if tabs separate them")
    return Text(Shape.LINES, line, start.chunks())


def _from_first_line(chunks: Iterator[bytes]) -> tuple[bytes, int]:
    """The text from its first line that is not blank, as far as is needed to see what that begins with."""
    head, line = b"", 1
    for chunk in chunks:
        head += chunk
        text = head.lstrip(SPACE)
        line += head.count(b"\n", 0, len(head) - len(text))
        head = text
        if b"\n" in head or head[1:].strip(SPACE) or len(head) > raw_row.MAX_ROW_BYTES:
            break
    return head, line


def _opens_array(label: str, text: bytes) -> bool:
    """Whether the file is one array. Where its name says lines, a bracket alone may be the start of a damaged row."""
    if not text.startswith(b"["):
        return False
    return not label.lower().endswith(LINES) or text[1:].lstrip(SPACE)[:1] in (b"", b"{")


def _is_header(line: bytes) -> bool:
    """Whether a line is names with something between them, as no JSON is."""
    return any(
        len(cells) > 1 and all(NAME.fullmatch(cell.strip(b' "')) for cell in cells)
        for cells in (line.split(bytes([separator])) for separator in SEPARATORS)
    )


class _Start:
    """The start of a text, read on to where its first object ends, and no farther than is looked at."""

    def __init__(self, head: bytes, chunks: Iterator[bytes]) -> None:
        self._held, self._later, self._chunks = [head], list[bytes](), chunks
        self.text, self.ended = head, False

    def chunks(self) -> Iterator[bytes]:
        return itertools.chain(self._held, self._later, self._chunks)

    def joined(self) -> Iterator[bytes]:
        """The same, with all that was looked at in the first chunk."""
        return itertools.chain((self.text,), self._later, self._chunks)

    def more(self) -> bool:
        """Read on; False at the end of the text, or of what is looked at."""
        if len(self.text) >= SNIFF_BYTES:
            return False
        chunk = next(self._chunks, None)
        if chunk is None:
            self.ended = True
            return False
        self._held.append(chunk)
        self.text += chunk
        return True

    def has_objects(self) -> bool:
        """Whether a line begins as an object does, of those that are looked at."""
        while self.more():
            pass
        return any(line.startswith(b"{") for line in self.text.split(b"\n"))

    def is_row(self) -> bool:
        """Whether the first object, which goes beyond what is looked at, is a row: a line, behind which another comes,
        or all there is, with a row's fields. Reads on to the line's end, or as far as a row may reach."""
        if b"\n" in self.text[:SNIFF_BYTES]:
            return False
        texts, size, ended = [self.text], 0, False
        while True:
            size += len(texts[-1])
            ended = ended or b"\n" in texts[-1]
            if ended and texts[-1].rpartition(b"\n")[2].strip(SPACE):
                break
            chunk = next(self._chunks, None) if size <= raw_row.MAX_ROW_BYTES else None
            if chunk is None:
                break
            self._later.append(chunk)
            texts.append(chunk)
        line, _, behind = b"".join(texts).partition(b"\n")
        if not behind.strip(SPACE):
            return len(line) <= ROW_BYTES and _has_fields(line)
        return line.rstrip(SPACE).endswith(b"}") and behind.lstrip(SPACE).startswith(b"{")

    def first_object(self) -> int | None:
        """Where the first object ends, if that was read; so was then what comes behind it, or the text's end."""
        depth, place, end = 0, 0, None
        while True:
            while end is None and (found := BRACKET.match(self.text, place, SNIFF_BYTES)):
                depth += 1 if found[1] in b"{[" else -1
                place = found.end()
                if depth == 0:
                    end = place
            if end is not None and self.text[end:].strip(BETWEEN):
                return end
            if not self.more():
                return end


def _of_objects(path: Path, line: int, start: _Start) -> Text:
    end = start.first_object()
    text = start.text
    element = text[:end]
    behind = b"" if end is None else text[end:].lstrip(BETWEEN)
    if end is None or (start.ended and not behind):  # the file is one object, as far as can be seen
        _refuse_columns(path, element, whole=end is not None)
        rows = _wrapped(element, whole=end is not None)
        if rows is not None and not (end is None and start.is_row()):
            return Text(Shape.WRAPPED, line, start.joined(), rows)
    first = text.partition(b"\n")[0].rstrip(SPACE)
    if first == b"{" or (end is not None and _goes_on(text, end, behind)):
        return Text(Shape.OBJECTS, line, start.chunks())
    _refuse_repr(path, text)
    return Text(Shape.LINES, line, start.chunks())


def _goes_on(text: bytes, end: int, behind: bytes) -> bool:
    """Whether lines are not the rows: the first object takes several, or another follows on the same."""
    between = text[end : len(text) - len(behind)]
    another = behind.startswith(b"{") and (b"\n" not in between or b"," in between)
    return (another or b"\n" in text[:end]) and _parsed(text[:end]) is not None


def _parsed(element: bytes) -> Any:
    try:
        return literals.loads(element)
    except (orjson.JSONDecodeError, InvalidRow):
        return None


def _has_fields(text: bytes) -> bool:
    value = _parsed(text)
    return isinstance(value, dict) and any(name in value for name in FIELDS)


def _wrapped(text: bytes, whole: bool) -> int | None:
    """Where the array of rows begins that is a value of the object."""
    if whole and _has_fields(text):
        return None
    depth, place = 0, 0
    while found := BRACKET.match(text, place, SNIFF_BYTES):
        bracket = found.end() - 1
        named = depth == 1 and found[1] == b"[" and WRAPPER.search(text, place, found.end())
        if named and text[found.end() :].lstrip(SPACE)[:1] in (b"{", b"]"):
            return bracket
        depth += 1 if found[1] in b"{[" else -1
        place = found.end()
    return None


def _refuse_columns(path: Path, text: bytes, whole: bool) -> None:
    """Refuse a table whose columns, or whose names and rows apart, are the values of one object."""
    if not whole:
        if COLUMNS.match(text):
            _refuse(path, BY_COLUMNS)
        if SPLIT.match(text):
            _refuse(path, NAMES_APART)
        return
    value = _parsed(text)
    if not isinstance(value, dict) or not value:
        return
    if {"columns", "data"} <= value.keys() and isinstance(value["columns"], list):
        _refuse(path, NAMES_APART)
    values = list(value.values())
    if all(isinstance(column, dict) and column for column in values) and ("0" in values[0] or "0" in value):
        _refuse(path, BY_COLUMNS)
    if len(values) > 1 and all(
        isinstance(column, list) and len(column) == len(values[0]) and all(type(cell) in (str, list) for cell in column)
        for column in values
    ):
        _refuse(path, f"holds a table by columns, a list each; {AS_ROWS}")


def _refuse_repr(path: Path, text: bytes) -> None:
    """Refuse Python's own notation, where no line of the start is JSON."""
    lines = [line for line in text[:SNIFF_BYTES].split(b"\n") if line.strip(SPACE)]
    if REPR.match(text) and not any(line.lstrip(b"[, \t").startswith(b'{"') for line in lines):
        _refuse(path, "holds rows as Python prints them, {'prompt': …}, not JSON; write each with json.dumps(row)")


def _refuse(path: Path, said: str) -> NoReturn:
    raise StepError(f"{path}: {said}")
