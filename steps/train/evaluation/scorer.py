"""What evaluation asks of a trainer: the summed log-probabilities of answers, and where it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import torch

    from steps.train.arguments import TrainArguments
    from steps.train.rows.tokenise import Pair
    from steps.train.runtime.interruption import Interruption

Sums = tuple[float, float]  # of the chosen and of the rejected answer, in nats

# Which weights of one model: with the adapter that trains, those of the DPO reference, or without any adapter.
Weights = Literal["trained", "reference", "base"]


class Packs(Protocol):
    """The part of a collator that says whether a batch is one row in which a prompt stands once."""

    packs: bool


class Scorer(Protocol):
    """A model on its devices that gives log-probabilities; `loop.trainer.PairTrainer` is one.

    Attributes:
        arguments: the recipe.
        args: the training configuration: rank, number of processes, device.
        model: the model with its adapters; `model_wrapped` is the same one as it is sharded.
    """

    arguments: TrainArguments
    args: Any
    accelerator: Any
    model: Any
    model_wrapped: Any
    is_fsdp_enabled: bool
    interruption: Interruption

    @property
    def data_collator(self) -> Packs: ...

    def summed_log_probs(self, batch: Sequence[Pair], weights: Weights) -> tuple[torch.Tensor, torch.Tensor]:
        """Summed answer log-probabilities of the chosen and of the rejected side in nats, each of shape [pairs]."""
