"""Shares of capture files by their bytes, and what an executor does with one; knows nothing of Spark.

A share has the lines that begin in it, so that every line is in exactly one, wherever the cuts fall. Line numbers count
from the share's own first line until the shares before it are known.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from steps.collect.answers import Answer
from steps.collect.captures import CaptureFiles, Place
from steps.collect.join.look import Looked, Looker, Terms
from steps.collect.options import Options
from steps.collect.pairs import Pair
from steps.collect.redact import Redactor
from steps.collect.write import Rows
from steps.shared import disks
from steps.shared.contract import StepError

SHARE_BYTES = 32 * 2**20


class Share(NamedTuple):
    """Bytes `start` to `end` of the file of this number, which has `size` of them."""

    file: int
    start: int
    end: int
    size: int


@dataclass
class Seen:
    """What stands in a share.

    Attributes:
        lines: all that begin in it, blank ones too.
        passed: captures that nobody spoke of.
        looked: the others, with numbers of lines from the share's first.
    """

    lines: int = 0
    passed: int = 0
    looked: list[Looked] = field(default_factory=list)


@dataclass
class Made:
    """Lines of the output, together, and how often each pattern of personal data was found in them."""

    lines: bytes
    redacted: dict[str, int]


def shares(files: CaptureFiles, share_bytes: int) -> list[Share]:
    """All bytes of all files, in their order."""
    found = []
    for number, path in enumerate(files.paths):
        size = path.stat().st_size
        found += [Share(number, at, min(at + share_bytes, size), size) for at in range(0, size, share_bytes)]
    return found


def loads(parts: Iterable[Share], load_bytes: int) -> list[list[Share]]:
    """The same in their order, small ones together: so much work each, or one share."""
    found: list[list[Share]] = []
    room = 0
    for share in parts:
        size = share.end - share.start
        if size > room:
            found.append([])
            room = load_bytes
        found[-1].append(share)
        room -= size
    return found


def look_at(parts: Iterable[Share], files: CaptureFiles, terms: Terms) -> Iterator[Seen]:
    """
    Raises:
        StepError: a file cannot be read, or has another size than where the shares were made.
    """
    looker = Looker(terms)
    for share in parts:
        with _telling():
            seen = _seen(share, files, looker)
        yield seen


@contextlib.contextmanager
def _telling() -> Iterator[None]:
    """Have what a disk refused an executor be the step's own error, which finds its way to the command's end."""
    try:
        yield
    except OSError as error:
        raise StepError(disks.told(error)) from None


def _seen(share: Share, files: CaptureFiles, looker: Looker) -> Seen:
    seen = Seen()
    with open(files.paths[share.file], "rb") as file:
        if os.fstat(file.fileno()).st_size != share.size:
            raise StepError(f"{file.name}: changed while it was read; run again when it is complete")
        for offset, line in _lines(file, share):
            seen.lines += 1
            if line.isspace():
                continue
            looked = looker.look(Place(share.file, offset, len(line), seen.lines), line)
            if looked is None:
                seen.passed += 1
            else:
                seen.looked.append(looked)
    return seen


def _lines(file: BinaryIO, share: Share) -> Iterator[tuple[int, bytes]]:
    """(offset, line) of those that begin in a share."""
    offset = share.start
    if offset:
        file.seek(offset - 1)
        before = file.readline(share.end - offset + 1)  # the end of a line that began earlier, or the break before ours
        if not before.endswith(b"\n"):
            return
        offset += len(before) - 1
    while offset < share.end and (line := file.readline()):
        yield offset, line
        offset += len(line)


def in_order(seen: Iterable[tuple[Share, Seen]]) -> Iterator[Seen]:
    """What was seen in all shares, with the numbers that lines have in their files."""
    of_file, before = -1, 0
    for share, found in seen:
        if share.file != of_file:
            of_file, before = share.file, 0
        found.looked = [one._replace(place=one.place._replace(line=one.place.line + before)) for one in found.looked]
        before += found.lines
        yield found


def make(items: Iterable[Pair | Answer], files: CaptureFiles, options: Options) -> Iterator[Made]:
    """The lines of pairs, or of judged answers that are in none."""
    redactor = Redactor(options.redact, options.redact_patterns)
    rows = Rows(files, redactor)
    with _telling():
        lines = b"".join(map(rows.line, items))
    yield Made(lines, dict(redactor.counts))
