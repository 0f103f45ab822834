"""Arrays, and objects printed over several lines, to raw rows, one for each element.

An element is cut out here and read elsewhere, so that damage stays with the row that has it: strings end with their
line, and after a row whose brackets do not close, reading goes on where a later one begins as the first one did. Every
byte that is not white space or punctuation between rows ends up in some row. What is in memory is a chunk of the text,
or one row where that is longer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import orjson

from steps.preprocess.rows import raw_row
from steps.preprocess.rows.raw_row import SPACE, RawRow
from steps.preprocess.rows.reasons import InvalidRow, Reason
from steps.shared.contract import StepError

BETWEEN = re.compile(rb"[ \t\r\n,]*")
BRACKET = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\\r\n]++|\\.)*+"?)*+([{}\[\]])')  # everything up to the next bracket
SCALAR = re.compile(rb'(?:"(?:[^"\\\r\n]++|\\.)*+"?|[^",\[\]{}\r\n])*+')
HEAD = re.compile(rb'\{\s*"(?:[^"\\\r\n]|\\.)*"')
FOLLOWED = re.compile(rb"(\}[ \t\r\n,]*)" + HEAD.pattern)
REACH_BYTES = 2**16  # how far the likely end of a row is looked for, beside four times the longest row so far
MISSES = 8  # that many more than hits, and likely ends are not looked for any more


def cut_elements(label: str, line: int, chunks: Iterator[bytes], in_array: bool) -> Iterator[RawRow]:
    """The elements of a text that comes in chunks, cut anywhere, and begins on `line` with its first bracket.

    Args:
        in_array: the first bracket opens the array, and is no row's own.

    Raises:
        StepError: a row does not end within the limit.
    """
    cutter = _Cutter(label, line, chunks)
    if in_array:
        cutter.skip_bracket()
    return cutter.rows(closed=not in_array)


class _Cutter:
    """The text around the place where the next element is looked for, and what is known of the elements before it."""

    def __init__(self, label: str, line: int, chunks: Iterator[bytes]) -> None:
        self._label = label
        self._chunks = chunks
        self._buffer = next(chunks)
        self._at = 0  # where the next element is looked for
        self._line, self._counted = line, 0  # the line at the place up to which line ends are counted
        self._ended = False
        self._head = b""  # how the first row begins: its bracket and its first key
        self._followed = b""  # the last bracket of a row, and what stands behind it
        self._longest = self._hits = self._misses = 0

    def skip_bracket(self) -> None:
        self._at += 1

    def rows(self, closed: bool) -> Iterator[RawRow]:
        """The elements. `closed` says that no bracket is open, so that the end of the file needs none."""
        while self._seek():
            if self._buffer[self._at] == ord("]"):
                closed, self._at = True, self._at + 1
                continue
            element = self._likely_element()
            if element is None:
                end = self._end()  # which may move the buffer on
                element = self._buffer[self._at : end]
            yield RawRow(self._label, self._line_of(self._at), element.strip(SPACE))
            self._longest = max(self._longest, len(element))
            self._at += len(element)
        if not closed:
            problem = InvalidRow(Reason.NOT_JSON, "the array has no closing ]: the file looks cut off")
            yield RawRow(self._label, self._line_of(len(self._buffer)), b"", problem)

    def _seek(self) -> bool:
        """Go to the next byte that is not between elements; False at the end of the file."""
        while True:
            between = BETWEEN.match(self._buffer, self._at)
            self._at = between.end() if between else self._at
            if self._at < len(self._buffer):
                return True
            if not self._more():
                return False

    def _more(self) -> bool:
        """Read on, and let go what lies before the current element. Reads as much as is kept, to stay linear."""
        if self._ended:
            return False
        self._line_of(self._at)
        pieces = [self._buffer[self._at :]]
        wanted = len(pieces[0])
        for chunk in self._chunks:
            pieces.append(chunk)
            wanted -= len(chunk)
            if wanted <= 0:
                break
        if len(pieces) == 1:
            self._ended = True
            return False
        self._buffer, self._at, self._counted = b"".join(pieces), 0, 0
        return True

    def _line_of(self, place: int) -> int:
        self._line += self._buffer.count(b"\n", self._counted, place)
        self._counted = place
        return self._line

    def _likely_element(self) -> bytes | None:
        """The element up to the first place that looks like the end of an earlier one, if it is whole.

        What parses is the element that the careful way would find, since no other place closes its brackets.
        """
        if not self._followed or self._misses > MISSES + self._hits:
            return None
        reach = min(REACH_BYTES + 4 * self._longest, raw_row.MAX_ROW_BYTES)
        while True:
            found = self._buffer.find(self._followed, self._at, self._at + reach)
            if found >= 0 or self._at + reach <= len(self._buffer) or not self._more():
                break
        if found >= 0:
            element = self._buffer[self._at : found + 1]
            if _parses(element):
                self._hits += 1
                self._note_head()
                return element
        self._misses += 1
        return None

    def _end(self) -> int:
        """Where the element that begins here ends, reading on until its end is in sight.

        Where another row seems to begin before that, this one is broken, unless it is JSON with that other inside it.
        """
        while True:
            self._note_head()
            other = self._another()
            limit = len(self._buffer) if other is None else other
            end = self._closing(limit)
            if end is not None and end <= limit:
                self._learn(end)
                return end
            if other is not None:
                if not _may_become_json(self._buffer[self._at : other + 1]):
                    return other
                end = self._closing(len(self._buffer))
                if end is not None:
                    return end if _parses(self._buffer[self._at : end]) else other
            if len(self._buffer) - self._at > raw_row.MAX_ROW_BYTES or not self._more():
                break
        if other is not None:
            return other
        if not self._ended:
            most = f"{raw_row.MAX_ROW_BYTES // 2**20} MiB"
            where = f"{self._label}:{self._line_of(self._at)}"
            raise StepError(
                f"{where}: the row that begins here does not end within {most}; is a bracket or quote missing?"
            )
        return len(self._buffer)

    def _another(self) -> int | None:
        """Where something begins as the first row did, behind what may stand between rows."""
        place = self._at
        while self._head:
            place = self._buffer.find(self._head, place + 1)
            if place < 0:
                break
            if self._buffer[place - 1] in b", \t\r\n":
                return place
        return None

    def _note_head(self) -> None:
        """Keep how the first element begins, which is where reading goes on after a broken one."""
        if not self._head:
            head = HEAD.match(self._buffer, self._at)
            self._head = head[0] if head else b""

    def _learn(self, end: int) -> None:
        """Keep what stands between this element and the next. On one line that is also between parts of an element,
        so that the first key belongs to it; where a line ends there, its indentation tells."""
        followed = FOLLOWED.match(self._buffer, end - 1)
        if followed:
            self._followed = followed[1] + b"{" if b"\n" in followed[1] else followed[0]

    def _closing(self, limit: int) -> int | None:
        """Where the brackets of the element are closed again, if that is before the limit; the end of what has none."""
        if self._buffer[self._at] not in b"{[":
            return self._scalar_end()
        depth, place = 0, self._at
        while found := BRACKET.match(self._buffer, place, limit):
            depth += 1 if found[1] in b"{[" else -1
            place = found.end()
            if depth == 0:
                return place
        return None

    def _scalar_end(self) -> int | None:
        """The end of a number, a string, or rubbish; of one byte at least, so that a stray bracket is a row too."""
        scalar = SCALAR.match(self._buffer, self._at)
        end = scalar.end() if scalar else self._at
        return None if end == len(self._buffer) and not self._ended else max(end, self._at + 1)


def _parses(element: bytes) -> bool:
    try:
        orjson.loads(element)
    except orjson.JSONDecodeError:
        return False
    return True


def _may_become_json(start: bytes) -> bool:
    """Whether nothing but the rest is wrong with the start of an element."""
    try:
        orjson.loads(start)
    except orjson.JSONDecodeError as error:
        return bool(error.doc) and error.pos == len(error.doc)
    return True
