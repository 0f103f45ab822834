"""A collator that packs makes batches of whole sequences where it is asked to, and packs again afterwards."""

from __future__ import annotations

import pytest


def test_a_collator_packs_again_also_after_an_error() -> None:
    from steps.train.loop.collator import PairCollator

    collator = PairCollator(pad_token_id=0, packs=True)
    row = {"prompt_ids": [5, 6], "chosen_ids": [7], "chosen_mask": [1], "rejected_ids": [8, 9], "rejected_mask": [1, 1]}
    assert "packed" in collator([row])
    with pytest.raises(RuntimeError), collator.unpacked():
        assert collator([row])["input_ids"].tolist() == [[5, 6, 7, 0], [5, 6, 8, 9]]
        assert "packed" not in collator([row])
        raise RuntimeError
    assert "packed" in collator([row])
