"""Raw rows to objects, some at a time; a row that is none gets the reason why not.

Of many rows together it takes little to tell that none has a key twice (steps/preprocess/rows/json_keys.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import orjson

from steps.preprocess.read import literals
from steps.preprocess.read.json_lines import objects_of_line
from steps.preprocess.rows.json_keys import count_key_ends, count_keys, refuse_duplicate_keys
from steps.preprocess.rows.json_values import kind
from steps.preprocess.rows.pairs import Row
from steps.preprocess.rows.raw_row import CHUNK_BYTES, RawRow
from steps.preprocess.rows.reasons import InvalidRow, Reason

Parsed = tuple[RawRow, Row | InvalidRow]
TOO_DEEP = "nested too deep to be a preference pair"


def parse(raw: RawRow) -> Row:
    """The object that a row is.

    Raises:
        InvalidRow: it is none, or has a key twice.
    """
    (found,) = _parsed([raw])
    if isinstance(found, InvalidRow):
        raise found
    return found


def parsed(raws: Iterable[RawRow]) -> Iterator[Parsed]:
    """Each row with the object that it is, or with the reason why it is none; a line of several objects is as many."""
    return itertools.chain.from_iterable(_of_batch(batch) for batch in _batches(raws))


def _of_batch(batch: list[RawRow]) -> Iterable[Parsed]:
    found = _parsed(batch)
    rows = zip(batch, found, strict=True)
    if InvalidRow not in map(type, found):
        return rows
    return itertools.chain.from_iterable(_of_line(raw, row) for raw, row in rows)


def _of_line(raw: RawRow, row: Row | InvalidRow) -> Iterable[Parsed]:
    """The row; or those that its line holds, where it is no JSON but several objects."""
    if isinstance(row, InvalidRow) and row.code == Reason.NOT_JSON and not raw.problem:
        several = objects_of_line(raw)
        if several:
            return zip(several, _parsed(several), strict=True)
    return [(raw, row)]


def _batches(raws: Iterable[RawRow]) -> Iterator[list[RawRow]]:
    """Rows as they come, in lists of as many as fit the cache."""
    batch: list[RawRow] = []
    size = 0
    for raw in raws:
        batch.append(raw)
        size += len(raw.data)
        if size >= CHUNK_BYTES:
            yield batch
            batch, size = [], 0
    yield batch


def _parsed(batch: list[RawRow]) -> list[Row | InvalidRow]:
    found = [_object(raw) for raw in batch]
    objects = [(raw.data, row) for raw, row in zip(batch, found, strict=True) if type(row) is dict]
    if count_key_ends(b"".join([data for data, _ in objects])) == sum([count_keys(row) for _, row in objects]):
        return found
    return [_looked_at(raw, row) for raw, row in zip(batch, found, strict=True)]


def _object(raw: RawRow) -> Row | InvalidRow:
    if raw.problem:
        return raw.problem
    try:
        row = literals.loads(raw.data)
    except orjson.JSONDecodeError as error:
        return _diagnose(raw.data, error)
    except InvalidRow as reason:
        return reason
    return row if type(row) is dict else InvalidRow(Reason.WRONG_TYPE, f"the row is {kind(row)}; must be an object")


def _looked_at(raw: RawRow, row: Row | InvalidRow) -> Row | InvalidRow:
    if isinstance(row, InvalidRow):
        return row
    try:
        refuse_duplicate_keys(raw.data, row)
    except InvalidRow as reason:
        return reason
    except RecursionError:
        return InvalidRow(Reason.TOO_DEEP, TOO_DEEP)
    return row


def _diagnose(data: bytes, error: orjson.JSONDecodeError) -> InvalidRow:
    if b"\0" in data:
        return InvalidRow(Reason.NUL_BYTE, f"a NUL byte at byte {data.index(0)} of the row")
    try:
        data.decode()
    except UnicodeDecodeError as fault:
        return InvalidRow(Reason.INVALID_UTF8, f"not UTF-8 at byte {fault.start} of the row")
    return InvalidRow(Reason.NOT_JSON, f"{error} (byte {len(error.doc[: error.pos].encode())} of the row)")
