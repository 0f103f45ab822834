"""A GPU that has no memory left, as an error that says what to change in the recipe."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from steps.shared.contract import StepError, first_line
from steps.train.arguments import TrainArguments


@contextlib.contextmanager
def explained(arguments: TrainArguments, changes: Sequence[str] | None = None) -> Iterator[None]:
    """
    Args:
        changes: what to change in the recipe, where that is not what makes a step of training smaller.

    Raises:
        StepError: instead of torch's error, where a GPU's memory did not suffice.
    """
    try:
        yield
    except RuntimeError as error:
        import torch

        if not isinstance(error, torch.OutOfMemoryError):
            raise
        raise StepError(
            f"{first_line(error)}\nChange the recipe: {', or '.join(changes or _changes(arguments))}"
        ) from error


def _changes(arguments: TrainArguments) -> list[str]:
    """What needs less memory, the cheapest first."""
    found = [] if arguments.gradient_checkpointing else ["gradient_checkpointing: true"]
    if arguments.token_budget:
        found.append(f"max_tokens_per_batch below {arguments.token_budget}")
    elif arguments.per_device_train_batch_size > 1:
        now = arguments.per_device_train_batch_size
        found.append(f"per_device_train_batch_size below {now} with more gradient_accumulation_steps")
    found.append(f"max_length below {arguments.max_length}")
    if not arguments.load_in_4bit:
        found.append("load_in_4bit: true")
    return [*found, "a larger or a further GPU; `python pipeline.py check` estimates what fits"]
