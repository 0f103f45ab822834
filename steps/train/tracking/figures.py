"""Which of a log entry's figures trackers get, and under which names.

The product's names are those of `steps.train.metrics.lines`. What TRL logs beside them and has no name there goes on
under TRL's; what transformers logs at the end is left out where it repeats one of them or does not hold for this
training.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steps.train.metrics import lines

# TRL's own names of figures that have no other here, with what they are.
OF_TRL = {
    "logps/chosen": "log-probability of a chosen answer under the model, the sum over its tokens; mean of the rows",
    "logps/rejected": "the same of the rejected answers",
    "logits/chosen": "mean of the model's logits at the tokens of the chosen answers",
    "logits/rejected": "the same of the rejected answers",
    "entropy": "mean entropy of the model's next token, in nats",
    "mean_token_accuracy": "share of the tokens of the chosen answers that the model thought most likely",
    "num_tokens": "tokens that were trained on since the beginning",
    "aux_loss": "what keeps the experts of a mixture evenly used, before its weight",
}
# What transformers logs once at the end.
LEFT_OUT = {
    "train_loss": "the mean of `loss` over all steps; of a training that was continued, over the last start's only",
    "train_steps_per_second": "says what `step_seconds` says, with the evaluations counted in",
    "total_flos": "an estimate of padded batches, which these are not; `mfu` counts the work that is done",
}


def named(logs: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of one log entry; one that nobody knows stays, under its own name."""
    return {lines.NAMES.get(key, key): value for key, value in logs.items() if key not in LEFT_OUT}
