"""SIGTERM ends a training between two steps, with a checkpoint."""

from __future__ import annotations

import signal
from typing import Any

import torch
import torch.distributed as dist

from steps.shared.contract import StepError


class Interrupted(StepError):
    """The process got SIGTERM and ends; its checkpoints are whole."""


class Interruption:
    """SIGTERM as a request that the training loop asks for, so that it ends between two steps.

    SageMaker gives a spot instance two minutes after it.
    """

    def __init__(self) -> None:
        self._received = False

    def listen(self) -> None:
        signal.signal(signal.SIGTERM, self._note)

    def _note(self, *_: Any) -> None:
        self._received = True

    @staticmethod
    def ended(step: int) -> Interrupted:
        """What to end the process with when the training has ended for it."""
        return Interrupted(
            f"stopped by SIGTERM; checkpoint-{step} is whole, and the next start of this run continues from it"
        )

    def requested(self, device: torch.device) -> bool:
        """Whether any process got the signal. All must ask together, so that all end at the same step."""
        if not dist.is_initialized():
            return self._received
        received = torch.tensor(float(self._received), device=device)
        dist.all_reduce(received, dist.ReduceOp.MAX)
        return bool(received)
