"""Held-out evaluation from per-row log-probabilities: each row once, with n and ties.

trl's own reward accuracy counts the padded duplicates of the last batch and, with several processes, averages batch
means. The gate decides from these figures instead. The reference is the model that training starts from: the base
with the adapter off, or with `initial_adapter` the base with that one. Its log-probabilities do not change during a run
and are computed once. What the figures mean is said in `evaluation.figures`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from steps.shared.contract import StepError
from steps.train.evaluation import log_probs
from steps.train.evaluation.figures import RowMargin
from steps.train.evaluation.scorer import Scorer, Sums

if TYPE_CHECKING:
    from steps.train.rows.tokenise import Pair


class HeldOut:
    """Evaluates the same rows again and again during a run; computes the reference only the first time."""

    def __init__(self, pairs: Sequence[Pair], batch_size: int, beta: float):
        self.pairs, self.batch_size, self.beta = pairs, batch_size, beta
        self._reference: dict[str, Sums] = {}

    def evaluate(self, scorer: Scorer, phase: str = "evaluation") -> list[RowMargin]:
        """Per-row figures, complete on every rank and in the order of the rows. All ranks must call it together.

        Args:
            phase: what the log says of it.

        Raises:
            StepError: a log-probability is not finite; on every rank, since all see the same rows.
        """
        policy = log_probs.gathered(scorer, self.pairs, self.batch_size, "trained", phase)
        if not self._reference:
            by = f"{phase} by the reference"
            self._reference = log_probs.gathered(scorer, self.pairs, self.batch_size, "reference", by)
        margins = [row_margin(pair, policy[pair.id], self._reference[pair.id]) for pair in self.pairs]
        require_finite(margins)
        return margins


def row_margin(pair: Pair, policy: Sums, reference: Sums) -> RowMargin:
    """A row's figures from the sums of its answers under both models."""
    (chosen, rejected), (reference_chosen, reference_rejected) = policy, reference
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
        StepError: a row's log-probability is NaN or infinite.
    """
    broken = [row for row in rows if not math.isfinite(row.margin)]
    if not broken:
        return
    first = broken[0]
    reference_too = not math.isfinite(first.reference_chosen + first.reference_rejected)
    who, fix = (
        ("the reference gives", "check bf16 and the model's weights")
        if reference_too
        else ("training diverged: the policy gives", "lower learning_rate, or raise beta")
    )
    raise StepError(
        f"held-out evaluation: {who} {len(broken)} of {len(rows)} rows a log-probability that is not finite, "
        f"first row {first.id}; {fix}"
    )
