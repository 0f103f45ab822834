"""Changes to a recipe that is too large for its GPUs, each estimated before it is proposed.

Single changes come first; where no setting is enough alone, several together in the order in which they cost least. The
effective batch size is kept: a smaller batch comes with more accumulation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from steps.train.arguments import TrainArguments
from steps.train.preflight.memory import GIB

LENGTH_STEP = 64  # a shorter max_length is sought in these steps
BUDGET_STEP = 512  # and a smaller max_tokens_per_batch

Peak = Callable[[TrainArguments, int], int]  # a recipe, a number of ranks -> bytes of a rank at the peak


def changes(arguments: TrainArguments, ranks: int, limit: float, peak: Peak) -> Iterator[str]:
    """Changes after which a rank needs at most `limit` bytes, with what it needs then."""

    def proposed(text: str, count: int = ranks, **update: Any) -> str | None:
        size = peak(arguments.model_copy(update=update), count)
        return f"{text} ({gib(size)})" if size <= limit else None

    found = [_first(proposed(text, **update) for text, update in tries) for tries in _settings(arguments, ranks)]
    yield from filter(None, found if any(found) else [_together(arguments, ranks, proposed)])

    def length_fits(tokens: int) -> bool:
        return peak(arguments.model_copy(update={"max_length": tokens}), ranks) <= limit

    if tokens := _longest(arguments.max_length, length_fits):
        yield proposed(f"max_length: {tokens}", max_length=tokens) or ""
    if arguments.fsdp:
        counts = [ranks * times for times in (2, 4, 8)]
        yield from filter(None, [_first(proposed(f"{count} GPUs instead of {ranks}", count) for count in counts)])


def gib(size: float) -> str:
    return f"{size / GIB:.1f} GiB"


def _first(proposals: Iterator[str | None]) -> str | None:
    return next(filter(None, proposals), None)


def _settings(arguments: TrainArguments, ranks: int) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Settings that save memory, the cheapest first: for each the values to try, the mildest first."""
    if not arguments.gradient_checkpointing:
        yield [("gradient_checkpointing: true", {"gradient_checkpointing": True})]
    pairs, budget = arguments.per_device_train_batch_size, arguments.token_budget
    if budget:  # which then decides how many pairs a pass has; a pair has two sequences
        smaller = range(budget - BUDGET_STEP, 2 * arguments.max_length - 1, -BUDGET_STEP)
        yield [(f"max_tokens_per_batch: {tokens}", {"max_tokens_per_batch": tokens}) for tokens in smaller]
    else:
        yield [_smaller_batch(arguments, fewer) for fewer in range(pairs - 1, 0, -1)]
    evaluated = range(arguments.per_device_eval_batch_size - 1, 0, -1)
    yield [(f"per_device_eval_batch_size: {n}", {"per_device_eval_batch_size": n}) for n in evaluated]
    if not arguments.load_in_4bit:
        yield [("load_in_4bit: true", {"load_in_4bit": True})]
    if not arguments.fsdp and ranks > 1:
        yield [("fsdp: true", {"fsdp": True})]


def _smaller_batch(arguments: TrainArguments, pairs: int) -> tuple[str, dict[str, Any]]:
    total = arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps
    accumulation = -(-total // pairs)
    return (
        f"per_device_train_batch_size: {pairs} with gradient_accumulation_steps: {accumulation}",
        {"per_device_train_batch_size": pairs, "gradient_accumulation_steps": accumulation},
    )


def _together(arguments: TrainArguments, ranks: int, proposed: Callable[..., str | None]) -> str | None:
    """The fewest of the settings, each at its strongest, that are enough together."""
    texts: list[str] = []
    update: dict[str, Any] = {}
    for tries in _settings(arguments, ranks):
        if tries:
            text, values = tries[-1]
            texts.append(text)
            update |= values
            if found := proposed(" and ".join(texts), **update):
                return found
    return None


def _longest(length: int, fits: Callable[[int], bool]) -> int:
    """The longest max_length below `length` that fits, found by halving; 0 where none does."""
    low, high = 0, (length - 1) // LENGTH_STEP
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle * LENGTH_STEP) else (low, middle - 1)
    return low * LENGTH_STEP
