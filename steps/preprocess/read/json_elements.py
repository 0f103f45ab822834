"""Objects one after the other, on one line or printed over several, to raw rows; arrays are json_arrays.py's.

An element is cut out here and read elsewhere, so that damage stays with the row that has it: strings end with their
line, and after a row whose brackets do not close, reading goes on where a later one begins as the first one did. Every
byte that is not white space or punctuation between rows ends up in some row. What is in memory is a chunk of the text,
or one row where that is longer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import orjson

from steps.preprocess.read.brackets import OPENING, Brackets, Needle
from steps.preprocess.rows import raw_row
from steps.preprocess.rows.raw_row import SPACE, RawRow
from steps.shared.contract import StepError

BETWEEN = re.compile(rb"[ \t\r\n,]*")
SCALAR = re.compile(rb'(?:"(?:[^"\\\r\n]++|\\.)*+"?|[^",\[\]{}\r\n])*+')
HEAD = re.compile(rb'\{\s*"(?:[^"\\\r\n]|\\.)*"')
FOLLOWED = re.compile(rb"(\}[ \t\r\n,]*)" + HEAD.pattern)
REACH_BYTES = 2**16  # how far the likely end of a row is looked for, beside four times the longest row so far
MISSES = 8  # that many more than hits, or reaches of bytes, and likely ends are not looked for any more


class ElementCutter:
    """The text around the place where the next element is looked for, and what is known of the elements before it.

    Args:
        label: the file's name in reports.
        line: the number of the line that the chunks begin on.
        chunks: the text, cut anywhere, from its first bracket on.
    """

    def __init__(self, label: str, path: Path, line: int, chunks: Iterator[bytes]) -> None:
        self._label, self._path = label, path
        self._chunks = chunks
        self._buffer = next(chunks)
        self._base = 0  # the place in the text where the buffer begins
        self._at = 0  # where the next element is looked for
        self._line, self._counted = line, 0  # the line at the place up to which line ends are counted
        self._ended = False
        self._head: Needle | None = None  # how the first row begins: its bracket and its first key
        self._followed: Needle | None = None  # the last bracket of a row, and what stands behind it
        self._brackets = Brackets()
        self._longest = self._hits = self._misses = 0
        self._spent = MISSES * REACH_BYTES  # bytes that may be looked at in vain

    def rows(self) -> Iterator[RawRow]:
        """The elements, up to the end of the text. Brackets that close nothing are passed over.

        Raises:
            StepError: a row does not end within the limit.
        """
        while self._seek():
            if self._buffer[self._at] == ord("]"):
                self._at += 1
            else:
                yield self._element()

    def _element(self) -> RawRow:
        """The element that begins here; goes on behind it."""
        element = self._likely_element()
        if element is None:
            end = self._end()  # which may move the buffer on
            element = self._buffer[self._at : end]
        row = RawRow(self._label, self._line_of(self._at), element.strip(SPACE))
        self._longest = max(self._longest, len(element))
        self._at += len(element)
        return row

    def _error(self, place: int, said: str) -> StepError:
        return StepError(f"{self._path}:{self._line_of(place)}: {said}")

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
        self._base += self._at
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
        if not self._followed or self._misses > MISSES + self._hits or self._spent < 0:
            return None
        reach = min(REACH_BYTES + 4 * self._longest, raw_row.MAX_ROW_BYTES)
        while True:
            found = self._followed.find(self._buffer, self._base, self._at, self._at + reach)
            if found >= 0 or self._at + reach <= len(self._buffer) or not self._more():
                break
        if found >= 0:
            element = self._buffer[self._at : found + 1]
            if _parses(element):
                self._hits += 1
                self._spent += len(element)
                self._note_head()
                return element
            self._spent -= len(element)
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
                    return end if self._is_json(end) else other
            if len(self._buffer) - self._at > raw_row.MAX_ROW_BYTES or not self._more():
                break
        if other is not None:
            return other
        if not self._ended:
            most = f"{raw_row.MAX_ROW_BYTES // 2**20} MiB"
            said = f"the row that begins here does not end within {most}; is a bracket or quote missing?"
            raise self._error(self._at, said)
        return len(self._buffer)

    def _another(self) -> int | None:
        """Where something begins as the first row did, behind what may stand between rows."""
        if not self._head:
            return None
        place = self._head.find(self._buffer, self._base, self._at + 1, len(self._buffer))
        return place if place >= 0 else None

    def _note_head(self) -> None:
        """Keep how the first element begins, which is where reading goes on after a broken one."""
        if not self._head:
            head = HEAD.match(self._buffer, self._at)
            self._head = Needle(head[0], b", \t\r\n") if head else None

    def _is_json(self, end: int) -> bool:
        """Whether an element is JSON that has another inside. What is no JSON in one is none in those inside of it."""
        place = self._base + self._at
        if self._brackets.has_fault(place, self._base + end):
            return False
        element = self._buffer[self._at : end]
        try:
            orjson.loads(element)
        except orjson.JSONDecodeError as error:
            self._brackets.note_fault(place, place + _fault_of(element, error))
            return False
        return True

    def _learn(self, end: int) -> None:
        """Keep what stands between this element and the next. On one line that is also between parts of an element,
        so that the first key belongs to it; where a line ends there, its indentation tells."""
        followed = FOLLOWED.match(self._buffer, end - 1)
        if followed:
            sought = followed[1] + b"{" if b"\n" in followed[1] else followed[0]
            if self._followed is None or self._followed.sought != sought:
                self._followed = Needle(sought)

    def _closing(self, limit: int) -> int | None:
        """Where the brackets of the element are closed again, if that is before the limit; the end of what has none."""
        if self._buffer[self._at] not in OPENING:
            return self._scalar_end(limit)
        head = self._head.sought if self._head else b""
        return self._brackets.closing(self._buffer, self._base, self._at, limit, head)

    def _scalar_end(self, limit: int) -> int | None:
        """The end of a number, a string, or rubbish; of one byte at least, so that a stray bracket is a row too."""
        scalar = SCALAR.match(self._buffer, self._at, limit)
        end = scalar.end() if scalar else self._at
        return None if end == len(self._buffer) and not self._ended else max(end, self._at + 1)


def _parses(element: bytes) -> bool:
    try:
        orjson.loads(element)
    except orjson.JSONDecodeError:
        return False
    return True


def _fault_of(element: bytes, error: orjson.JSONDecodeError) -> int:
    """Where in its bytes an element is no JSON; 0 where that is not known."""
    try:
        element.decode()
    except UnicodeDecodeError as fault:
        return fault.start
    return len(error.doc[: error.pos].encode())


def _may_become_json(start: bytes) -> bool:
    """Whether nothing but the rest is wrong with the start of an element."""
    try:
        orjson.loads(start)
    except orjson.JSONDecodeError as error:
        return bool(error.doc) and error.pos == len(error.doc)
    return True
