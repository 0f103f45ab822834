"""Held-out evaluation from per-row log-probabilities: each row once, with n and ties.

trl's own reward accuracy counts the padded duplicates of the last batch and, with several processes, averages batch
means. The gate decides from these figures instead. The reference is the model that training starts from: the base
with the adapter off, or with `initial_adapter` the base with that one. Its log-probabilities do not change during a run
and are computed once. What the figures mean is said in figures.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from steps.contract import StepError
from steps.train.figures import RowMargin

if TYPE_CHECKING:
    import torch

    from steps.train.data import Pair
    from steps.train.trainer import PairTrainer


class HeldOut:
    """Evaluates the same rows again and again during a run; computes the reference only the first time."""

    def __init__(self, pairs: Sequence[Pair], batch_size: int, beta: float):
        self.pairs, self.batch_size, self.beta = pairs, batch_size, beta
        self._reference: dict[str, tuple[float, float]] = {}

    def evaluate(self, trainer: PairTrainer) -> list[RowMargin]:
        """Per-row figures, complete on every rank and in the order of the rows. All ranks must call it together.

        Raises:
            StepError: a log-probability is not finite; on every rank, since all see the same rows.
        """
        from steps.train import ranks

        model = trainer.model_wrapped
        training = model.training
        model.eval()
        mine = self._my_batches(trainer)
        policy = self._log_probs(trainer, mine, reference=False)
        if not self._reference:
            self._reference = self._log_probs(trainer, mine, reference=True)
        model.train(training)
        found = {id: (*sums, *self._reference[id]) for id, sums in policy.items()}
        found = {id: sums for part in ranks.gather(found) for id, sums in part.items()}
        rows = [_row(pair, found[pair.id]) for pair in self.pairs]
        require_finite(rows)
        return rows

    def _my_batches(self, trainer: PairTrainer) -> list[list[Pair]]:
        """This rank's rows in batches of like length. Every rank gets the same number of batches, since each forward
        pass is collective under FSDP; a rank with too few repeats rows, which the gathering by id counts once."""
        world, rank = trainer.args.world_size, trainer.args.process_index
        order = sorted(self.pairs, key=lambda pair: (pair.tokens, pair.id))
        per_rank = math.ceil(len(order) / world)
        mine = [order[(rank + index * world) % len(order)] for index in range(per_rank)]
        return [mine[start : start + self.batch_size] for start in range(0, per_rank, self.batch_size)]

    def _log_probs(
        self, trainer: PairTrainer, batches: list[list[Pair]], *, reference: bool
    ) -> dict[str, tuple[float, float]]:
        import torch

        from steps.train.stopping import Interrupted

        found: dict[str, tuple[float, float]] = {}
        for batch in batches:
            if trainer.interruption.requested(trainer.args.device):
                raise Interrupted("stopped by SIGTERM during an evaluation")
            with torch.no_grad():
                chosen, rejected = trainer.summed_log_probs(batch, reference=reference)
            for pair, one, other in zip(batch, _floats(chosen), _floats(rejected), strict=True):
                found[pair.id] = (one, other)
        return found


def _row(pair: Pair, sums: tuple[float, ...]) -> RowMargin:
    chosen, rejected, reference_chosen, reference_rejected = sums
    return RowMargin(
        id=pair.id,
        chosen=chosen,
        rejected=rejected,
        reference_chosen=reference_chosen,
        reference_rejected=reference_rejected,
        chosen_tokens=sum(pair.chosen_mask),
        rejected_tokens=sum(pair.rejected_mask),
        format=pair.format,
        with_tools=pair.with_tools,
    )


def require_finite(rows: Sequence[RowMargin]) -> None:
    """
    Raises:
        StepError: a row has a log-probability that is no number, from which nothing can be judged.
    """
    broken = [row for row in rows if not math.isfinite(row.margin)]
    if not broken:
        return
    first = broken[0]
    reference_too = not math.isfinite(first.reference_chosen + first.reference_rejected)
    who, mend = (
        ("the reference gives", "check bf16 and the model's weights")
        if reference_too
        else ("training diverged: the policy gives", "lower learning_rate, or raise beta")
    )
    raise StepError(
        f"held-out evaluation: {who} {len(broken)} of {len(rows)} rows a log-probability that is not finite, "
        f"first row {first.id}; {mend}"
    )


def _floats(values: torch.Tensor) -> list[float]:
    return [float(value) for value in values.float().cpu()]
