"""Arrays to raw rows, one for each element: a text that is one array, or an object with one, `{"data": [...]}`.

An array ends with its bracket, and the text with the array. Where the bracket is missing, or more comes, rows are lost,
and the step ends; a bracket that a damaged row has left over is not taken for the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import orjson

from steps.preprocess.read import literals
from steps.preprocess.read.brackets import closing
from steps.preprocess.read.json_elements import ElementCutter
from steps.preprocess.rows.raw_row import RawRow
from steps.preprocess.rows.reasons import InvalidRow

TAIL_BYTES = 2**20  # most that may stand behind the array in the object that holds it
GOES_ON = b',}]":'  # what comes behind a bracket that a damaged row has left, and never behind an array
TAIL = re.compile(rb'[ \t\r\n]*+(?:\}|,[ \t\r\n]*+")')  # how one begins
MOST_TAILS = 100  # that are tried: damaged rows may leave brackets that look like the array's
WHITE = re.compile(rb"[ \t\r\n]*+")
SHOWN_BYTES = 40  # of text that should not be there


class ArrayCutter(ElementCutter):
    """Looks for the elements of one array, and for its end."""

    def rows_of_array(self, at: int, wrapped: bool) -> Iterator[RawRow]:
        """The elements of an array.

        Args:
            at: where in the first chunk the array's bracket is.
            wrapped: the array is a value of an object, which begins with the chunk and ends after the array.

        Raises:
            StepError: a row does not end within the limit; the array does not end, or not the text with it.
        """
        before = self._buffer[:at]
        self._tails = 0
        self._at = at + 1
        closed = False
        while self._seek():
            if self._buffer[self._at] == ord("]"):
                self._at += 1
                if self._is_end(before if wrapped else None):
                    return
                continue
            row = self._element()
            yield row
            # The brackets of a damaged row may take the array's with them.
            closed = row.data[:1] == b"{" and row.data[-1:] == b"]" and closing(row.data, 0) is not None
        if not closed:
            raise self._error(
                len(self._buffer),
                "the array has no closing ] where the file ends: the file was cut off, or its last row is damaged; "
                "copy the file again, or fix its end",
            )

    def _is_end(self, before: bytes | None) -> bool:
        """Whether the array ends with the bracket that was just passed, and is all that there is.

        Args:
            before: what the array's object begins with, where it is in one.
        """
        while (place := self._behind_space()) == len(self._buffer) and self._more():
            pass
        found = self._buffer[place : place + 1]
        if not found:
            if before is not None:
                raise self._error(self._at, "the object that holds the array is not closed: the file was cut off")
            return True
        if before is not None and self._is_tail(before):
            return True
        if found in GOES_ON and not (found == b"," and self._comes_array()):
            return False
        place = self._behind_space()
        rest = self._buffer[place : place + SHOWN_BYTES]
        raise self._error(
            place,
            f"text behind the end of the array: {rest.decode('utf-8', 'backslashreplace')!r}; "
            "put all rows into one array, or write a row a line",
        )

    def _behind_space(self) -> int:
        space = WHITE.match(self._buffer, self._at)
        return space.end() if space else self._at

    def _comes_array(self) -> bool:
        """Whether another array is the next, behind commas. What is passed over is between rows in any case."""
        return self._seek() and self._buffer[self._at] == ord("[")

    def _is_tail(self, before: bytes) -> bool:
        """Whether the rest of the text is the rest of the object that holds the array, without rows of its own.

        Raises:
            StepError: another list of objects stands in the object.
        """
        while len(self._buffer) - self._at <= TAIL_BYTES and self._more():
            pass
        if not self._ended or not TAIL.match(self._buffer, self._at) or self._tails == MOST_TAILS:
            return False
        self._tails += 1
        try:
            value = literals.loads(before + b"null" + self._buffer[self._at :])
        except (orjson.JSONDecodeError, InvalidRow):
            return False
        for name, entry in value.items():
            if isinstance(entry, list) and any(isinstance(inner, dict) for inner in entry):
                raise self._error(
                    self._at,
                    f"the file's object holds a second list of objects, {name!r}; one file must have one list of rows: "
                    "write each into a file of its own",
                )
        return True
