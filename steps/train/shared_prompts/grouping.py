"""Decides `auto` of `group_by_prompt` and `max_tokens_per_batch` from the rows, before anything depends on them.

Pairs of a prompt stand together where that saves enough tokens, and a forward pass is then filled by tokens. Its budget
is what the recipe's number of pairs takes at most when padded, per_device_train_batch_size times two of the longest
sequence: a pass then takes no more memory than the preflight estimates without a budget.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from steps.train.arguments import SORTING, TrainArguments
from steps.train.model.base_config import fitting_attention, read_config
from steps.train.model.load import attention_implementation
from steps.train.rows.tokenise import Pair
from steps.train.shared_prompts.model import unshareable
from steps.train.shared_prompts.row import Sizes
from steps.train.shared_prompts.stateful_layers import hand_on

log = logging.getLogger(__name__)

WORTH = 0.05  # the share of the tokens of packed pairs that grouping must save: below it, the order of TRL stays


def decide(arguments: TrainArguments, pairs: Sequence[Pair]) -> TrainArguments:
    """The arguments without `auto` in these two; the log says what was decided, and from which figures.

    Args:
        pairs: the training rows.

    Raises:
        StepError: the model's configuration cannot be read, or its class has no such attention.
    """
    undecided = [name for name in ("group_by_prompt", "max_tokens_per_batch") if getattr(arguments, name) == "auto"]
    if not undecided:
        return arguments
    grouped = arguments.grouped or ("group_by_prompt" in undecided and _gains(arguments, pairs))
    decided: dict[str, Any] = {"group_by_prompt": grouped, "max_tokens_per_batch": None}
    if grouped and not set(SORTING) & set(arguments.loss_type):
        decided["max_tokens_per_batch"] = budget(arguments, pairs)
    chosen = {name: decided[name] for name in undecided}
    if grouped:
        log.info("share_prompts: %s", ", ".join(f"{name}: {str(value).lower()}" for name, value in chosen.items()))
    return arguments.model_copy(update=chosen)


def budget(arguments: TrainArguments, pairs: Sequence[Pair]) -> int:
    """Tokens of a forward pass that is filled by tokens."""
    return 2 * arguments.per_device_train_batch_size * max(pair.tokens for pair in pairs)


def saved(pairs: Sequence[Pair]) -> float:
    """The share of the tokens of all pairs, each packed by itself, that are not computed where those of a prompt
    stand together."""
    sizes = Sizes(pairs)
    alone = sum(sizes.of([row]) for row in range(len(sizes)))
    return 1 - sizes.of(range(len(sizes))) / alone if alone else 0.0


def _gains(arguments: TrainArguments, pairs: Sequence[Pair]) -> bool:
    """Whether grouping is worth it, and possible: with losses that compare the sorted rows of a batch, a batch's rows
    are to be drawn at random; and layers that compute a prompt for each answer would take more memory than the
    estimate's, which counts a row's tokens."""
    if not arguments.share_prompts or set(SORTING) & set(arguments.loss_type):
        return False
    share, prompts = saved(pairs), len({tuple(pair.prompt_ids) for pair in pairs})
    said = f"{len(pairs)} rows have {prompts} prompts; grouped by prompt, {share:.0%} fewer tokens are computed"
    if share < WORTH:
        log.info("share_prompts: %s: the pairs are shuffled", said)
        return False
    log.info("share_prompts: %s", said)
    config = read_config(arguments)
    _, skeleton = fitting_attention(arguments, config, attention_implementation(arguments))
    if unshareable(arguments, skeleton) is not None:  # why, is said when the model is loaded
        return False
    if not hand_on(skeleton):
        log.info("share_prompts: layers that carry a state compute a prompt for each answer; the pairs are shuffled")
        return False
    return True
