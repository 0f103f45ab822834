"""A tie is one half in the training's reward accuracy too: a run of ties is not one that learns the rejected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from steps.train.loop.ties import share_of_ties
from tests.steps.train.trainers import randomise, trainer_here

pytestmark = pytest.mark.usefixtures("one_thread")


def accuracy(trainer: Any) -> float:
    batch = trainer.data_collator([vars(pair) for pair in trainer.pairs_here[:4]])
    trainer.compute_loss(trainer.model.train(), batch)
    return trainer._metrics["train"]["rewards/accuracies"][-1]


def test_a_model_that_is_its_reference_has_one_half(tiny_model: Path, pairs: Path, tmp_path: Path) -> None:
    trainer = trainer_here(tiny_model, pairs, tmp_path, 4, precompute_ref_log_probs=False, lora_dropout=0)
    assert accuracy(trainer) == 0.5
    randomise(trainer)
    margins = trainer._metrics["train"]["rewards/margins"]
    assert accuracy(trainer) in {0.0, 0.25, 0.5, 0.75, 1.0} and margins[-1] != 0


def test_ties_are_counted_from_what_trl_gathers() -> None:
    chosen, rejected = torch.tensor([1.0, 2.0, 0.0, 4.0]), torch.tensor([1.0, 1.0, 0.0, 5.0])
    accuracies, rest = (chosen > rejected).float(), torch.zeros(1)
    assert share_of_ties([rest, chosen, rejected, accuracies, chosen - rejected, rest, rest]) == 0.5
    with pytest.raises(RuntimeError, match="gathered in another order"):
        share_of_ties([rest, rejected, chosen, accuracies, chosen - rejected, rest, rest])
