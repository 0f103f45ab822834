"""Summed answer log-probabilities of many pairs, shared out over the ranks in batches of like length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from steps.train.data import Pair
    from steps.train.trainer import PairTrainer

Sums = tuple[float, float]  # of the chosen and of the rejected answer, in nats


def share(pairs: Sequence[Pair], batch_size: int, *, rank: int, world: int) -> list[list[Pair]]:
    """A rank's pairs in batches of like length. Every rank gets the same number of batches, since each forward pass is
    collective under FSDP; a rank with too few repeats pairs, which whoever gathers them must count once."""
    order = sorted(pairs, key=lambda pair: (pair.tokens, pair.id))
    per_rank = math.ceil(len(order) / world)
    mine = [order[(rank + index * world) % len(order)] for index in range(per_rank)]
    return [mine[start : start + batch_size] for start in range(0, per_rank, batch_size)]


def sums(trainer: PairTrainer, batches: Sequence[Sequence[Pair]], *, reference: bool) -> list[Sums]:
    """The sums of every pair, in the order of the batches. All ranks must call it together, with as many batches each.

    Raises:
        Interrupted: a process got SIGTERM; on every rank.
    """
    import torch

    from steps.train.stopping import Interrupted

    model = trainer.model_wrapped
    training = model.training
    model.eval()
    found: list[Sums] = []
    for batch in batches:
        if trainer.interruption.requested(trainer.args.device):
            raise Interrupted("stopped by SIGTERM during an evaluation")
        with torch.no_grad():
            chosen, rejected = trainer.summed_log_probs(batch, reference=reference)
        found += zip(_floats(chosen), _floats(rejected), strict=True)
    model.train(training)
    return found


def _floats(values: torch.Tensor) -> list[float]:
    return [float(value) for value in values.float().cpu()]
