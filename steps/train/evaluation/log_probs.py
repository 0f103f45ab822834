"""Summed answer log-probabilities of many pairs, shared out over the ranks in batches of like length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from steps.shared.signs.phases import Count
from steps.train.evaluation.scorer import Scorer, Sums, Weights

if TYPE_CHECKING:
    import torch

    from steps.train.rows.tokenise import Pair


def share(scorer: Scorer, pairs: Sequence[Pair], batch_size: int) -> list[list[Pair]]:
    """The batches of this rank of a scorer, as `shares` makes them."""
    args = scorer.args
    by_prompt = scorer.data_collator.packs
    return shares(pairs, batch_size, rank=args.process_index, world=args.world_size, by_prompt=by_prompt)


def shares(
    pairs: Sequence[Pair], batch_size: int, *, rank: int, world: int, by_prompt: bool = False
) -> list[list[Pair]]:
    """A rank's pairs in batches of like length; with `by_prompt` the pairs of a prompt together, which a packed batch
    computes once. Every rank gets the same number of batches, since each forward pass is collective under FSDP; a rank
    with too few repeats pairs, which whoever gathers them must count once."""

    def key(pair: Pair) -> tuple[Any, ...]:
        prompt = (len(pair.prompt_ids), pair.prompt_ids) if by_prompt else ()
        return *prompt, pair.tokens, pair.id

    order = sorted(pairs, key=key)
    order = [order[place % len(order)] for place in range(math.ceil(len(order) / world) * world)]
    found = []
    for start in range(0, len(order), batch_size * world):
        together = order[start : start + batch_size * world]
        size = len(together) // world
        found.append(together[rank * size : (rank + 1) * size])
    return found


def sums(scorer: Scorer, batches: Sequence[Sequence[Pair]], weights: Weights, count: Count | None = None) -> list[Sums]:
    """The sums of every pair, in the order of the batches. All ranks must call it together, with as many batches each.

    Args:
        count: is told of the pairs that all ranks have done.

    Raises:
        Interrupted: a process got SIGTERM; on every rank.
    """
    import torch

    from steps.train.runtime.interruption import Interrupted

    model = scorer.model_wrapped
    training = model.training
    model.eval()
    found: list[Sums] = []
    for batch in batches:
        if scorer.interruption.requested(scorer.args.device):
            raise Interrupted("stopped by SIGTERM during an evaluation")
        with torch.no_grad():
            chosen, rejected = scorer.summed_log_probs(batch, weights)
        found += zip(_floats(chosen), _floats(rejected), strict=True)
        if count:
            count.add(len(batch) * scorer.args.world_size)
    model.train(training)
    return found


def gathered(scorer: Scorer, pairs: Sequence[Pair], batch_size: int, weights: Weights, phase: str) -> dict[str, Sums]:
    """The sums of every pair by its id, on every rank. All ranks must call it together.

    Args:
        phase: what the log says of it.
    """
    from steps.train.runtime import ranks

    mine = share(scorer, pairs, batch_size)
    ids = [pair.id for batch in mine for pair in batch]
    found = dict(zip(ids, sums(scorer, mine, weights, Count(phase, len(pairs))), strict=True))
    return {id: of_row for part in ranks.gather(found) for id, of_row in part.items()}


def _floats(values: torch.Tensor) -> list[float]:
    return [float(value) for value in values.float().cpu()]
