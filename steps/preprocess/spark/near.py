"""Near-duplicate prompts over many machines: which of them can be near another one at all, found band by band.

`near.near_duplicates` decides, as in the Python engine, and in one place, because whether a prompt stays depends on
those before it. It only has to see the prompts that are the same as another in a whole band, and these are few: here
they are found without bringing signatures together. Nothing here imports Spark.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from typing import NamedTuple

import numpy as np

from steps.preprocess.duplicates.near import PERMUTATIONS, near_duplicates, rows_per_band
from steps.preprocess.shards.shard import ConvertedShard, prompt_keys

PARTS = 256  # of the bands' hashes, by their last byte
FACTOR = np.uint64(0x9E3779B97F4A7C15)
BAND = np.dtype([("hash", "<u8"), ("key", "<u8", 2)])


class Candidate(NamedTuple):
    """A prompt that shares a band with another, at the first row of its shard that has it."""

    shard: int
    place: int
    key: bytes
    signature: bytes


def bands(result: ConvertedShard, threshold: float) -> Iterator[tuple[int, bytes]]:
    """The bands of a shard's prompts, by the part that compares them: (hash, key of the prompt) in bytes."""
    if result.signatures is None:
        return
    first = _first_places(result.index)
    hashes = _band_hashes(result.signatures[list(first.values())], rows_per_band(threshold))
    by_prompt = np.empty(hashes.shape, BAND)
    by_prompt["hash"] = hashes
    by_prompt["key"] = np.frombuffer(b"".join(first), "<u8").reshape(-1, 1, 2)
    entries = by_prompt.ravel()
    part = (entries["hash"] & np.uint64(PARTS - 1)).astype(np.int64)
    for number in np.unique(part).tolist():
        yield number, entries[part == number].tobytes()


def _first_places(index: np.ndarray) -> dict[bytes, int]:
    first: dict[bytes, int] = {}
    for place, key in enumerate(prompt_keys(index)):
        first.setdefault(key, place)
    return first


def _band_hashes(signatures: np.ndarray, rows: int) -> np.ndarray:
    """A hash of each band of each signature. Two that are equal by chance only make one candidate more."""
    by_band = signatures.reshape(len(signatures), PERMUTATIONS // rows, rows).astype(np.uint64)
    hashes = np.arange(PERMUTATIONS // rows, dtype=np.uint64) * FACTOR
    hashes = np.broadcast_to(hashes, by_band.shape[:2]).copy()
    for row in range(rows):
        hashes = (hashes ^ by_band[:, :, row]) * FACTOR
        hashes ^= hashes >> np.uint64(29)
    return hashes


def shared(parts: Iterable[bytes]) -> set[bytes]:
    """The keys of different prompts that have a band in common, of one part's bands."""
    entries = np.frombuffer(b"".join(parts), BAND)
    entries = entries[np.lexsort((entries["key"][:, 1], entries["key"][:, 0], entries["hash"]))]
    same_hash = entries["hash"][1:] == entries["hash"][:-1]
    same_key = (entries["key"][1:] == entries["key"][:-1]).all(axis=1)
    entries = entries[np.concatenate(([True], ~(same_hash & same_key)))]
    _, numbers, counts = np.unique(entries["hash"], return_inverse=True, return_counts=True)
    keys = np.ascontiguousarray(entries["key"][counts[numbers] > 1])
    return set(keys.view("V16").ravel().tolist())


def candidates(result: ConvertedShard, keys: Set[bytes]) -> Iterator[Candidate]:
    """The prompts of a shard that are among `keys`; none where the shard has no signatures."""
    if result.signatures is None:
        return
    for key, place in _first_places(result.index).items():
        if key in keys:
            yield Candidate(result.number, place, key, result.signatures[place].tobytes())


def near_keys(found: Iterable[Candidate], threshold: float) -> frozenset[bytes]:
    """The keys of the prompts that are nearly the same as one that came earlier and stays."""
    found = sorted(found)
    if not found:
        return frozenset()
    keys = np.frombuffer(b"".join(one.key for one in found), ">u8").reshape(-1, 2)
    signatures = np.frombuffer(b"".join(one.signature for one in found), np.uint32).reshape(-1, PERMUTATIONS)
    near = near_duplicates(keys, signatures, threshold)
    return frozenset(one.key for one, is_near in zip(found, near.tolist(), strict=True) if is_near)
