"""JSON Lines text to raw rows, a line each. Blank lines are counted, and are no rows.

A line may hold several objects, as Firehose writes them, or `cat` of files whose last line has no end. That is seen
where the line is parsed (shards/parse.py), which takes no time from good lines, and is cut here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import orjson

from steps.preprocess.read import literals
from steps.preprocess.read.brackets import closing
from steps.preprocess.read.json_elements import BETWEEN
from steps.preprocess.rows import raw_row
from steps.preprocess.rows.raw_row import KEPT_BYTES, SPACE, RawRow
from steps.preprocess.rows.reasons import InvalidRow, Reason


def cut_lines(label: str, line: int, chunks: Iterable[bytes]) -> Iterator[RawRow]:
    """The rows of a text that comes in chunks, cut anywhere; `line` is the number of its first line.

    Of a line beyond the limit no more is held than the limit and a chunk, and no more is kept than its start.
    """
    held: list[bytes] = []  # the start of a line whose end has not come yet
    size, reported = 0, False
    for chunk in chunks:
        texts = chunk.split(b"\n")
        last = texts.pop()
        if texts:
            if reported:
                del texts[0]
                line += 1
            elif held:
                texts[0] = b"".join((*held, texts[0]))
            held, size, reported = [], 0, False
        for text in texts:
            if len(text) > raw_row.MAX_ROW_BYTES:
                yield _too_large(label, line, text)
            elif text := text.strip(SPACE):
                yield RawRow(label, line, text)
            line += 1
        if last and not reported:
            held.append(last)
            size += len(last)
            if size > raw_row.MAX_ROW_BYTES:
                yield _too_large(label, line, b"".join(held))
                held, size, reported = [], 0, True
    if text := b"".join(held).strip(SPACE):
        yield RawRow(label, line, text)


def objects_of_line(raw: RawRow) -> list[RawRow]:
    """The objects that stand one after the other on a line which is no JSON, as rows of that line; none if none do.

    What comes behind the last object is a row too: whatever the line holds is counted. A line is cut where its first
    two objects are JSON, so that a quotation mark too many does not make two rows of one.
    """
    rows: list[RawRow] = []
    place = 0
    while place < len(raw.data):
        end = closing(raw.data, place) if raw.data.startswith(b"{", place) else None
        rows.append(RawRow(raw.file, raw.line, raw.data[place:end]))
        between = BETWEEN.match(raw.data, end or len(raw.data))
        place = between.end() if between else len(raw.data)
    return rows if len(rows) > 1 and all(_is_object(row.data) for row in rows[:2]) else []


def _is_object(data: bytes) -> bool:
    try:
        return isinstance(literals.loads(data), dict)
    except (orjson.JSONDecodeError, InvalidRow):
        return False


def _too_large(label: str, line: int, text: bytes) -> RawRow:
    problem = InvalidRow(Reason.TOO_LARGE, f"the line is longer than {raw_row.MAX_ROW_BYTES // 2**20} MiB")
    return RawRow(label, line, text[:KEPT_BYTES], problem)
