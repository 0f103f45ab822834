"""Duplicates and contradictions among all rows, found from their ids alone.

Works on one bucket of ids at a time (by an id's first byte), so that an engine may spread the buckets: whatever has to
be compared is in the same bucket, since a row and its reverse differ in the last bit only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from steps.preprocess.duplicates.ids import ID

KEEP, DUPLICATE, CONTRADICTORY, NEAR_DUPLICATE = range(4)
BUCKETS = 256


class Settled(NamedTuple):
    """What became of a bucket.

    Attributes:
        verdicts: uint8, shape (n,), in the order of the bucket's ids.
        kept: the ids that stay, sorted: shape (kept, 2).
    """

    verdicts: np.ndarray
    kept: np.ndarray

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.kept.astype(ID).tobytes()).digest()


def bucket_of(ids: np.ndarray) -> np.ndarray:
    """The bucket of each id: uint8, shape (n,). Ids are two unsigned 64-bit numbers each: shape (n, 2)."""
    return (ids[:, 0] >> np.uint64(56)).astype(np.uint8)


def settle(ids: np.ndarray, near: np.ndarray) -> Settled:
    """Verdicts on a bucket's ids, given in the order of the rows: the first of equal rows stays.

    A row whose reverse is there as well is contradictory, and so is the reverse: nothing says which is right.

    Args:
        ids: unsigned 64-bit, shape (n, 2).
        near: bool, shape (n,): whose prompt is nearly the same as an earlier one; equal and reversed rows share it.
    """
    verdicts = np.zeros(len(ids), np.uint8)
    high, low = ids[:, 0].astype(np.uint64), ids[:, 1].astype(np.uint64)  # the machine's byte order sorts faster
    order = np.lexsort((low, high))  # stable: equal ids stay in the order of the rows
    high, low = high[order], low[order]
    same_high = high[1:] == high[:-1]
    repeated = np.zeros(len(ids), bool)
    repeated[1:] = same_high & (low[1:] == low[:-1])
    verdicts[order[repeated]] = DUPLICATE
    stays = ~repeated & ~near[order]
    verdicts[order[~repeated & near[order]]] = NEAR_DUPLICATE
    first, high, low = order[stays], high[stays], low[stays]
    reverse = (high[1:] == high[:-1]) & (low[1:] >> np.uint64(1) == low[:-1] >> np.uint64(1))
    contradictory = np.zeros(len(first), bool)
    contradictory[1:] |= reverse
    contradictory[:-1] |= reverse
    verdicts[first[contradictory]] = CONTRADICTORY
    return Settled(verdicts, ids[first[~contradictory]])


def data_hash(digests: Iterable[bytes]) -> str:
    """A hash of the rows that stay, from the digests of all buckets in order: files and their order do not count."""
    return hashlib.sha256(b"".join(digests)).hexdigest()
