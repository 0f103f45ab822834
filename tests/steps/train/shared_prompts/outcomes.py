"""What a trainer makes of a few pairs that share prompts and answers: figures and gradients, to be compared."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

from steps.train.rows.tokenise import Pair

if TYPE_CHECKING:
    import torch

REWARDS = ("rewards/chosen", "rewards/rejected", "rewards/accuracies", "logps/chosen", "logits/chosen", "entropy")


def rows() -> list[Pair]:
    """Three pairs of one prompt with the same chosen answer, two of another, and a prompt of one token.

    Short answers, since float32 has the sum of 40 tokens only to 1e-5 nats, and discopop multiplies that by 20.
    """
    draw = random.Random(5)

    def ids(count: int) -> list[int]:
        return [draw.randrange(4, 200) for _ in range(count)]

    first, second, third, chosen = ids(40), ids(23), ids(1), ids(5)
    sides = [
        (first, chosen, ids(3)), (second, ids(2), ids(6)), (first, chosen, ids(6)), (third, ids(4), ids(5)),
        (first, chosen, ids(2)), (second, ids(3), ids(4)),
    ]  # fmt: skip
    return [
        Pair(f"row-{number}", prompt, good, [1] * len(good), bad, [0, *[1] * (len(bad) - 1)], "chat", False)
        for number, (prompt, good, bad) in enumerate(sides)
    ]


def outcome(trainer: Any, loss_type: str) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """Loss and metrics of one batch, and the adapter's gradients."""
    trainer.loss_types, trainer.loss_weights, trainer.first_loss_is_due = [loss_type], [1.0], False
    trainer.model.train()
    trainer._metrics["train"].clear()
    inputs = trainer._prepare_inputs(trainer.data_collator([vars(pair) for pair in rows()]))
    with trainer.compute_loss_context_manager():
        loss = trainer.compute_loss(trainer.model, inputs)
    loss.backward()
    gradients = {name: weight.grad.clone() for name, weight in trainer.model.named_parameters() if weight.requires_grad}
    trainer.model.zero_grad()
    figures = {name: trainer._metrics["train"][name][-1] for name in REWARDS}
    return figures | {"loss": float(loss.detach())}, gradients


def apart(gradients: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> float:
    """How far two gradients are apart, of the length of the first."""
    squares = [
        (float((one - others[name]).square().sum()), float(one.square().sum())) for name, one in gradients.items()
    ]
    return math.sqrt(sum(apart for apart, _ in squares) / sum(length for _, length in squares))
