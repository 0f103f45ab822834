"""How far the served form is from the trained one.

Both forms have one adapter and differ by the base: in NF4 while it trains, unquantised where it is served. Their
log-probabilities of the same answers tell how far; pure arithmetic, without torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from steps.train.evaluation.figures import RowMargin, summarise


def drift(trained: Sequence[RowMargin], served: Sequence[RowMargin], beta: float) -> dict[str, Any]:
    """Both forms' rows, in the same order: how far the figures are apart.

    Returns:
        accuracy: the served form's reward accuracy less the trained one's. log_prob_per_token: the mean over the rows
        of |served - trained| log ratio of the chosen answer divided by its tokens, in nats; None where no row has such
        tokens. rows_changed, share_changed: rows whose margin has another sign (a tie is a sign of its own).
    """
    before, after = summarise(trained, beta), summarise(served, beta)
    pairs = list(zip(trained, served, strict=True))
    apart = [
        abs(two.chosen_log_ratio - one.chosen_log_ratio) / one.chosen_tokens for one, two in pairs if one.chosen_tokens
    ]
    changed = sum(_sign(one.margin) != _sign(two.margin) for one, two in pairs)
    return {
        "rows": len(pairs),
        "accuracy": after.reward_accuracy - before.reward_accuracy,
        "log_prob_per_token": sum(apart) / len(apart) if apart else None,
        "rows_changed": changed,
        "share_changed": changed / len(pairs),
    }


def untrained(rows: Sequence[RowMargin]) -> list[RowMargin]:
    """The same rows as they were before the first step, when the policy was the reference."""
    return [replace(row, chosen=row.reference_chosen, rejected=row.reference_rejected) for row in rows]


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
