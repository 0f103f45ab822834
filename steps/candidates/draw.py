"""Draws of tokens: of the likeliest that together have a share of the probability (Holtzman et al. 2020, "The Curious
Case of Neural Text Degeneration", arXiv:1904.09751, section 3.1), at a temperature.

Each answer has random numbers of its own, from the seed, the prompt and the answer's number, whatever is drawn beside
it. Limits: the probabilities are those of the machine's arithmetic. In bfloat16 they differ between kinds of GPUs, and
between batches, by enough that another token is drawn now and then: the same answers come of the same prompts on the
same kind of machine. In float32 an answer is also the same in any batch.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch


def numbers_of(seed: int, key: str, number: int, count: int) -> list[float]:
    """The random numbers of one answer, each from 0 to below 1.

    Args:
        key: the prompt's.
        number: which of the prompt's answers it is.
        count: tokens that it may have.
    """
    own = random.Random(hashlib.sha256(f"{seed} {key} {number}".encode()).digest())
    return [own.random() for _ in range(count)]


@dataclass(frozen=True)
class Draws:
    """Chooses the tokens of a batch's rows.

    Attributes:
        uniform: float32 [rows, tokens], from 0 to 1, of which each token takes one.
    """

    uniform: torch.Tensor
    temperature: float
    top_p: float

    @classmethod
    def of(cls, rows: Sequence[Sequence[float]], temperature: float, top_p: float, device: torch.device) -> Draws:
        return cls(torch.tensor(rows, dtype=torch.float32, device=device), temperature, top_p)

    def __call__(self, logits: torch.Tensor, numbers: torch.Tensor, step: int) -> torch.Tensor:
        """The next token of each row, int64 [rows]; `logits` is float32 [rows, vocabulary]."""
        probabilities = torch.softmax(logits / self.temperature, dim=-1)
        likeliest, tokens = probabilities.sort(dim=-1, descending=True, stable=True)
        kept = (likeliest.cumsum(dim=-1) - likeliest) < self.top_p  # the first one always
        left_out = torch.zeros_like(kept).scatter(1, tokens, ~kept)
        # In the order of the vocabulary: in that of probabilities two that are almost the same would change places with
        # the last digits of the arithmetic, and another token would be drawn.
        summed = probabilities.masked_fill(left_out, 0.0).cumsum(dim=-1)
        place = (summed <= self.uniform[numbers, step, None] * summed[:, -1:]).sum(dim=-1, keepdim=True)
        last = tokens.masked_fill(~kept, 0).amax(dim=-1, keepdim=True)  # where rounding leads beyond the end
        return place.minimum(last)[:, 0]
