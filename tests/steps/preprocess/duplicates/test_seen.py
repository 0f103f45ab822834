"""Ids that come again, against a set."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from steps.preprocess.duplicates.ids import ID
from steps.preprocess.duplicates.seen import Seen

HALVES = st.integers(0, 3) | st.sampled_from([2**63, 2**64 - 1])  # few, so that halves come again without the other
SHARDS = st.lists(st.lists(st.tuples(HALVES, HALVES), unique=True, max_size=12), max_size=12)


def test_a_row_is_told_when_it_comes_again_and_a_reversed_one_is_not():
    seen = Seen()
    one, reverse = (7, 2**64 - 2), (7, 2**64 - 1)
    assert seen.add(np.array([one, (9, 9)], ID)).tolist() == [False, False]
    assert seen.add(np.array([reverse, one], ID)).tolist() == [False, True]


@given(SHARDS)
def test_no_row_that_came_before_is_missed(shards):
    seen, before = Seen(), set()
    for shard in shards:
        told = seen.add(np.array(shard, ID).reshape(-1, 2))
        assert all(is_told for row, is_told in zip(shard, told, strict=True) if row in before)
        before.update(shard)


def test_random_ids_over_many_shards_are_told_exactly():
    random = np.random.default_rng(0)
    ids = random.integers(0, 2**64, (20_000, 2), np.uint64)
    order = np.concatenate([np.arange(20_000), random.integers(0, 20_000, 5_000)])
    random.shuffle(order)
    seen, before, at = Seen(), set(), 0
    while at < len(order):
        shard = list(dict.fromkeys(order[at : at + int(random.integers(1, 900))].tolist()))
        assert seen.add(ids[shard].astype(ID)).tolist() == [number in before for number in shard]
        before.update(shard)
        at += len(shard)
