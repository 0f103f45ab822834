"""Where brackets close, and where a text occurs next, in a text that is read on and forgotten while it is cut.

What a damaged row makes one look at is remembered for the rows behind it: to look anew from each of them would take a
time that grows with the square of the text. Places are counted from the start of the text that was given first.
"""

from __future__ import annotations

from steps.preprocess.read.shapes import BRACKET

OPENING = b"{["
SCANS = 4  # that are kept: what is a text for one may be brackets for another that begins inside of it


class Needle:
    """The next occurrence of some bytes, each found once.

    Args:
        behind: the bytes of which one must stand before it; None where that does not matter.
    """

    def __init__(self, sought: bytes, behind: bytes | None = None) -> None:
        self.sought, self._behind = sought, behind
        self._found = -1  # the last one
        self._to = 0  # none begins before, but for that one

    def find(self, buffer: bytes, base: int, start: int, end: int) -> int:
        """Where the bytes occur in the buffer, from `start` on and up to `end`; -1 where they do not.

        Args:
            base: the place of the buffer's first byte in the text; never goes back.
            start: in the buffer; never goes back either.
        """
        if self._found < base + start:
            self._found = self._next(buffer, base, max(self._to - base, start), end)
        inside = 0 <= self._found <= base + end - len(self.sought)
        return self._found - base if inside else -1

    def _next(self, buffer: bytes, base: int, at: int, end: int) -> int:
        while (found := buffer.find(self.sought, at, end)) >= 0:
            if self._behind is None or buffer[found - 1] in self._behind:
                self._to = base + found
                return base + found
            at = found + 1
        self._to = max(base + at, base + min(end, len(buffer)) - len(self.sought) + 1)
        return -1


class _Scan:
    """One way through the text, from a bracket on, up to where that one closes.

    Attributes:
        to: the place up to which it has gone.
        fault: the place of what is no JSON in an element that was tried; -1 where none was.
    """

    def __init__(self, place: int) -> None:
        self.place = place
        self.to = place
        self.fault = -1
        self._depth = 0
        self._open: list[tuple[int, int]] = []  # brackets of rows that have not closed: their depth and place
        self._waiting: set[int] = set()
        self._closed: dict[int, int] = {}
        self._most = 1024  # of closed ones before those are let go that have gone by

    def knows(self, place: int) -> bool:
        return place in self._waiting or place in self._closed

    def closing(self, place: int) -> int | None:
        return self._closed.get(place)

    def forget(self, place: int) -> None:
        """Let go of what stands before a place."""
        if len(self._closed) > self._most:
            self._closed = {start: end for start, end in self._closed.items() if start >= place}
            self._most = 1024 + 2 * len(self._closed)

    def go_on(self, buffer: bytes, base: int, limit: int, head: bytes, sought: int) -> None:
        """Go on up to `limit`, or to where the bracket at `sought` closes. Notes brackets that begin as `head` does."""
        at = self.to - base
        while found := BRACKET.match(buffer, at, limit):
            at = found.end()
            if found[1] in OPENING:
                self._depth += 1
                if base + at - 1 == self.place or (head and buffer.startswith(head, at - 1)):
                    self._open.append((self._depth, base + at - 1))
                    self._waiting.add(base + at - 1)
                continue
            while self._open and self._open[-1][0] >= self._depth:
                _, opened = self._open.pop()
                self._waiting.discard(opened)
                self._closed[opened] = base + at
            self._depth -= 1
            if sought in self._closed or self._depth == 0:
                break
        self.to = base + at


class Brackets:
    """Where the brackets of elements close, by a few scans of the text that go on where they stopped."""

    def __init__(self) -> None:
        self._scans: list[_Scan] = []

    def _of(self, place: int) -> _Scan | None:
        return next((scan for scan in self._scans if scan.knows(place)), None)

    def note_fault(self, place: int, fault: int) -> None:
        """Note that the element at a place is no JSON, and where."""
        if scan := self._of(place):
            scan.fault = fault

    def has_fault(self, place: int, end: int) -> bool:
        """Whether an element has a fault inside that one around it was found to have: both are read alike there."""
        scan = self._of(place)
        return scan is not None and place < scan.fault < end

    def closing(self, buffer: bytes, base: int, place: int, limit: int, head: bytes) -> int | None:
        """Where the brackets are closed again of which the first one is at `place`, if that is before the limit.

        Args:
            base: the place of the buffer's first byte in the text; never goes back.
            place: in the buffer; never goes back.
            head: how the elements begin whose brackets may be asked for.
        """
        scan = self._of(base + place)
        if scan is None:
            scan = _Scan(base + place)
            self._scans = [*self._scans[1 - SCANS :], scan]
        if scan.closing(base + place) is None and scan.to < base + limit:
            scan.forget(base + place)
            scan.go_on(buffer, base, limit, head, base + place)
        end = scan.closing(base + place)
        return end - base if end is not None and end - base <= limit else None


def closing(text: bytes, place: int) -> int | None:
    """Where the brackets are closed again of which the first one is at a place."""
    depth = 0
    while found := BRACKET.match(text, place):
        depth += 1 if found[1] in OPENING else -1
        place = found.end()
        if depth == 0:
            return place
    return None
