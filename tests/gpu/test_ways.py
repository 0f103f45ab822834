"""Rows packed with less sharing, which the measurement compares with, hold the same values."""

from __future__ import annotations

import pytest
import torch

from steps.train.loop.collator import PairCollator
from steps.train.shared_prompts.row import Packed, pack
from tests.gpu import made
from tests.gpu.sizes import TINY
from tests.gpu.ways import Pack, packed_by, within_a_pair, without_sharing

PAIRS = made.pairs(TINY.rows["when2call"], 6, 200)


def packed(how: Pack) -> Packed:
    with packed_by(how):
        return PairCollator(0, packs=True)([vars(pair) for pair in PAIRS])["packed"]


def spread(row: Packed) -> torch.Tensor:
    """Each scored token at its place among the whole sequences."""
    return row.unpack(row.targets.float())


@pytest.mark.parametrize(("how", "trunks"), [(without_sharing, 12), (within_a_pair, 6), (pack, 2)])
def test_a_row_with_less_sharing_has_the_same_tokens_at_the_same_places(how: Pack, trunks: int) -> None:
    row = packed(how)
    assert len(row.groups) == trunks
    assert spread(row).equal(spread(packed(pack)))
    assert row.input_ids[0, row.seen].shape == (int(row.key_ends[-1]),) == (len(row.seen),)
    assert int(row.query_ends[-1]) == row.tokens == row.input_ids.shape[1]
    assert row.most_keys == int(row.key_ends.diff().max()) and row.most_queries == int(row.query_ends.diff().max())
    starts = row.query_ends[:-1][row.key_ends.diff() == row.query_ends.diff()]
    assert len(starts) == trunks  # which see themselves alone
