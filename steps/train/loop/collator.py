"""Pairs as the batches that TRL's loss reads, padded, and where prompts are shared also packed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from transformers.data.data_collator import DataCollatorMixin
from trl.trainer.utils import pad

from steps.train.shared_prompts.row import pack


@dataclass
class PairCollator(DataCollatorMixin):
    """Makes a batch of pairs as TRL's loss expects it: 2 * pairs sequences, padded, those of the chosen answers first.

    Attributes:
        reference: precomputed reference log-probabilities of the training rows, summed over an answer, in nats:
            [rows, 2] for chosen and rejected. A batch then has those of its own rows.
        packs: whether a batch also has `packed`, the one row that the model computes instead.
    """

    pad_token_id: int
    return_tensors: str = "pt"
    reference: torch.Tensor | None = None
    packs: bool = False

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """One batch of rows, each the fields of a `Pair`, and `row` where it is one of the training rows.

        Returns:
            `input_ids`, `attention_mask` and `completion_mask`, int64 [2 * pairs, longest]; with `reference` and rows
            of the training also `ref_chosen_logps` and `ref_rejected_logps`, float32 [pairs]; with `packs` also
            `packed`.
        """
        sides = [(row, side) for side in ("chosen", "rejected") for row in examples]
        ids = [torch.tensor(row["prompt_ids"] + row[f"{side}_ids"]) for row, side in sides]
        masks = [torch.tensor([0] * len(row["prompt_ids"]) + row[f"{side}_mask"]) for row, side in sides]
        batch: dict[str, Any] = {
            "input_ids": pad(ids, padding_value=self.pad_token_id, padding_side="right"),
            "attention_mask": pad([torch.ones_like(row) for row in ids], padding_value=0, padding_side="right"),
            "completion_mask": pad(masks, padding_value=0, padding_side="right"),
        }
        if self.reference is not None and "row" in examples[0]:
            chosen, rejected = self.reference[[row["row"] for row in examples]].unbind(dim=1)
            batch |= {"ref_chosen_logps": chosen, "ref_rejected_logps": rejected}
        if self.packs:
            batch["packed"] = pack(
                [(row["prompt_ids"], row[f"{side}_ids"], row[f"{side}_mask"]) for row, side in sides]
            )
        return batch

    @contextlib.contextmanager
    def unpacked(self) -> Iterator[None]:
        """Within, batches are of whole sequences alone."""
        before, self.packs = self.packs, False
        try:
            yield
        finally:
            self.packs = before
