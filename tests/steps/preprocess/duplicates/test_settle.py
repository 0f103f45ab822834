"""Verdicts from ids alone: against the obvious way, and the hash of what stays."""

from __future__ import annotations

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from steps.preprocess.duplicates.settle import (
    CONTRADICTORY,
    DUPLICATE,
    KEEP,
    NEAR_DUPLICATE,
    bucket_of,
    data_hash,
    settle,
)
from steps.shared.records import pair_id

IDS = st.lists(st.integers(0, 12), max_size=40)  # few, so that many are equal or each other's reverse


def as_ids(numbers: list[int]) -> np.ndarray:
    """Ids that differ in their last bits, in both halves, and share a first byte."""
    text = b"".join(((0x7F << 120) + (number // 4 << 64) + number % 4).to_bytes(16, "big") for number in numbers)
    return np.frombuffer(text, ">u8").reshape(-1, 2)


@given(IDS, st.sets(st.integers(0, 6)))
def test_verdicts_are_those_of_the_obvious_way(numbers, near_pairs):
    seen: set[int] = set()
    expected = []
    for number in numbers:
        near, reverse = number // 2 in near_pairs, number ^ 1
        others = CONTRADICTORY if reverse in numbers else KEEP
        expected.append(DUPLICATE if number in seen else NEAR_DUPLICATE if near else others)
        seen.add(number)
    settled = settle(as_ids(numbers), np.array([number // 2 in near_pairs for number in numbers], bool))
    assert settled.verdicts.tolist() == expected
    kept = sorted(number for number, verdict in zip(numbers, expected, strict=True) if verdict == KEEP)
    assert settled.kept.tolist() == as_ids(kept).tolist()
    assert settled.digest == hashlib.sha256(as_ids(kept).tobytes()).digest()


@given(IDS)
def test_the_digest_does_not_depend_on_the_order_of_the_rows(numbers):
    near = np.zeros(len(numbers), bool)
    assert settle(as_ids(numbers), near).digest == settle(as_ids(numbers[::-1]), near).digest


def test_a_row_and_its_reverse_share_their_bucket():
    parts = [b'["p"]', b'["a"]', b'["b"]', b"null"]
    one, reverse = pair_id(*parts), pair_id(parts[0], parts[2], parts[1], parts[3])
    assert one[:15] == reverse[:15] and one[15] ^ reverse[15] == 1
    ids = np.frombuffer(one + reverse, ">u8").reshape(-1, 2)
    assert bucket_of(ids).tolist() == [one[0], one[0]]
    assert settle(ids, np.zeros(2, bool)).verdicts.tolist() == [CONTRADICTORY, CONTRADICTORY]


def test_the_data_hash_covers_every_bucket():
    assert data_hash([b"a", b"b"]) != data_hash([b"b", b"a"]) != data_hash([b"b"])
