"""Summed answer log-probabilities of many pairs, shared out over the ranks in batches of like length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

    from steps.train.data import Pair
    from steps.train.trainer import PairTrainer

Sums = tuple[float, float]  # of the chosen and of the rejected answer, in nats
# Of one model with adapters: with the one that trains; the DPO reference; with none.
Weights = Literal["trained", "reference", "base"]


def share(pairs: Sequence[Pair], batch_size: int, *, rank: int, world: int) -> list[list[Pair]]:
    """A rank's pairs in batches of like length. Every rank gets the same number of batches, since each forward pass is
    collective under FSDP; a rank with too few repeats pairs, which whoever gathers them must count once."""
    order = sorted(pairs, key=lambda pair: (pair.tokens, pair.id))
    per_rank = math.ceil(len(order) / world)
    mine = [order[(rank + index * world) % len(order)] for index in range(per_rank)]
    return [mine[start : start + batch_size] for start in range(0, per_rank, batch_size)]


def sums(trainer: PairTrainer, batches: Sequence[Sequence[Pair]], weights: Weights) -> list[Sums]:
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
            chosen, rejected = trainer.summed_log_probs(batch, weights)
        found += zip(_floats(chosen), _floats(rejected), strict=True)
    model.train(training)
    return found


def gathered(trainer: PairTrainer, pairs: Sequence[Pair], batch_size: int, weights: Weights) -> dict[str, Sums]:
    """The sums of every pair by its id, on every rank. All ranks must call it together."""
    from steps.train import ranks

    mine = share(pairs, batch_size, rank=trainer.args.process_index, world=trainer.args.world_size)
    ids = [pair.id for batch in mine for pair in batch]
    found = dict(zip(ids, sums(trainer, mine, weights), strict=True))
    return {id: of_row for part in ranks.gather(found) for id, of_row in part.items()}


def _floats(values: torch.Tensor) -> list[float]:
    return [float(value) for value in values.float().cpu()]
