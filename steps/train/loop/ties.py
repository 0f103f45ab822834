"""Training's reward accuracy with a tie as one half, as the held-out one: TRL counts it as wrong.

At a low learning rate in bfloat16 a batch can be all ties: an accuracy of 0 would look like a model that prefers the
rejected answers. TRL keeps no rewards a row, so they are taken where it gathers them over the ranks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from accelerate import Accelerator

LAST = 6  # what `_compute_loss` gathers at its end: both rewards, accuracies, margins, both log-probabilities


@contextmanager
def gathered(accelerator: Accelerator) -> Iterator[list[torch.Tensor]]:
    """Within, the list gets every tensor that the accelerator gathers, in order."""
    original, seen = accelerator.gather, []

    def gather(tensor: Any) -> Any:
        found = original(tensor)
        seen.append(found)
        return found

    accelerator.gather = gather
    try:
        yield seen
    finally:
        accelerator.gather = original


def share_of_ties(seen: list[torch.Tensor]) -> float:
    """The share of rows whose rewards are equal, from what TRL gathered; rewards are float [pairs of all ranks].

    Raises:
        RuntimeError: TRL gathers other things than it did in 1.16.
    """
    chosen, rejected, accuracies = seen[-LAST : 3 - LAST]
    if not torch.equal((chosen > rejected).float(), accuracies):
        raise RuntimeError("TRL's metrics are gathered in another order: steps/train/loop/ties.py must follow")
    return float((chosen == rejected).float().mean())
