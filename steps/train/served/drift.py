"""How far the served form is from the trained one, and what a later check of the weights is held against.

Both forms have one adapter and differ by the base: in NF4 while it trains, unquantised where it is served. Their
log-probabilities of the same answers tell how far; pure arithmetic, without torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from steps.train.evaluation.figures import RowMargin, summarise

if TYPE_CHECKING:
    from steps.train.rows.tokenise import Pair

PROBES = 4  # answers that are kept with their log-probability
PROBE_TOKENS = 512  # longer ones are no probes: a check on a CPU is to take seconds


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


def probes(pairs: Sequence[Pair], rows: Sequence[RowMargin]) -> list[dict[str, Any]]:
    """A few short chosen answers with their log-probability in the served form.

    Only answers of which every token counts up to the last that does: then the sum over what follows
    `completion_at` is the row's own.

    Returns:
        of each id; input_ids, the tokens of prompt and answer; completion_at, where the answer begins; log_prob, the
        sum over its tokens in nats.
    """
    found: list[tuple[int, str, dict[str, Any]]] = []
    for pair, row in zip(pairs, rows, strict=True):
        counted = sum(pair.chosen_mask)
        if counted and all(pair.chosen_mask[:counted]) and len(pair.prompt_ids) + counted <= PROBE_TOKENS:
            ids = [*pair.prompt_ids, *pair.chosen_ids[:counted]]
            probe = {"input_ids": ids, "completion_at": len(pair.prompt_ids), "log_prob": row.chosen}
            found.append((len(ids), pair.id, {"id": pair.id, **probe}))
    return [probe for *_, probe in sorted(found, key=lambda one: one[:2])[:PROBES]]


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
