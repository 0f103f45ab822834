"""Held-out evaluation from per-row log-probabilities: each row once, with n and ties.

trl's own reward accuracy counts the padded duplicates of the last batch and, with several processes, averages batch
means. The gate decides from these figures instead. The reference is the model that training starts from: the base
with the adapter off, or with `initial_adapter` the base with that one. Its log-probabilities do not change during a run
and are computed once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from steps.train.data import Pair
    from steps.train.trainer import PairTrainer


@dataclass(frozen=True)
class RowMargin:
    """Summed log-probabilities of one row's two answers under the policy and the reference."""

    id: str
    chosen: float
    rejected: float
    reference_chosen: float
    reference_rejected: float

    @property
    def margin(self) -> float:
        """The implicit reward difference without beta: (chosen - reference) - (rejected - reference)."""
        return (self.chosen - self.reference_chosen) - (self.rejected - self.reference_rejected)


@dataclass(frozen=True)
class Evaluation:
    """Figures over `rows` held-out rows.

    Attributes:
        loss: mean sigmoid DPO loss, -log sigmoid(beta * margin) (Rafailov et al. 2023, eq. 7), whatever loss_type
            trains, so that runs compare.
        reward_accuracy: share of rows with a positive margin; a tie counts one half, as a coin would.
        reward_margin: mean of beta * margin.
        ties: rows whose margin is exactly 0 (all of them before the first step: policy and reference are one model).
    """

    rows: int
    loss: float
    reward_accuracy: float
    reward_margin: float
    ties: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def summarise(margins: Sequence[RowMargin], beta: float) -> Evaluation:
    """The figures of a list of rows; it must not be empty."""
    rewards = [beta * row.margin for row in margins]
    ties = sum(reward == 0 for reward in rewards)
    wins = sum(reward > 0 for reward in rewards)
    return Evaluation(
        rows=len(rewards),
        loss=sum(_softplus(-reward) for reward in rewards) / len(rewards),
        reward_accuracy=(wins + ties / 2) / len(rewards),
        reward_margin=sum(rewards) / len(rewards),
        ties=ties,
    )


def _softplus(x: float) -> float:
    """log(1 + e^x) without overflow; -log sigmoid(r) = softplus(-r)."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


class HeldOut:
    """Evaluates the same rows again and again during a run; computes the reference only the first time."""

    def __init__(self, pairs: Sequence[Pair], batch_size: int, beta: float):
        self.pairs, self.batch_size, self.beta = pairs, batch_size, beta
        self._reference: dict[str, tuple[float, float]] = {}

    def evaluate(self, trainer: PairTrainer) -> list[RowMargin]:
        """Per-row figures, complete on every rank and in the order of the rows. All ranks must call it together."""
        import torch.distributed as dist

        model = trainer.model_wrapped
        training = model.training
        model.eval()
        mine = self._my_batches(trainer)
        policy = self._log_probs(trainer, mine, reference=False)
        if not self._reference:
            self._reference = self._log_probs(trainer, mine, reference=True)
        model.train(training)
        rows = {id: RowMargin(id, chosen, rejected, *self._reference[id]) for id, (chosen, rejected) in policy.items()}
        if dist.is_initialized():
            gathered: list[dict[str, RowMargin] | None] = [None] * dist.get_world_size()
            dist.all_gather_object(gathered, rows)
            rows = {id: row for part in gathered for id, row in (part or {}).items()}
        return [rows[pair.id] for pair in self.pairs]

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

        found: dict[str, tuple[float, float]] = {}
        for batch in batches:
            with torch.no_grad():
                chosen, rejected = trainer.summed_log_probs(batch, reference=reference)
            for pair, one, other in zip(batch, _floats(chosen), _floats(rejected), strict=True):
                found[pair.id] = (one, other)
        return found


def _floats(values: torch.Tensor) -> list[float]:
    return [float(value) for value in values.float().cpu()]
