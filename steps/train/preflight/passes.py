"""The tokens of a recipe's passes, and the bytes that depend on them alone; what a block takes is for its kinds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

from steps.train.arguments import Attention, TrainArguments
from steps.train.footprint.sizes import Footprint
from steps.train.model.shape import ModelShape

FP32 = 4


@dataclass(frozen=True)
class Passes(ABC):
    """The passes of a recipe on a model, with every sequence `length` tokens long."""

    arguments: TrainArguments
    shape: ModelShape | Footprint
    attention: Attention
    length: int

    @cached_property
    def c(self) -> int:
        return 2 if self.arguments.bf16 else FP32

    @cached_property
    def tokens(self) -> int:
        """Tokens of a training pass at most. A packed batch is never more than the padded one that is taken for it."""
        pairs, budget = self.arguments.per_device_train_batch_size, self.arguments.token_budget
        if budget is None:
            return self.tokens_of(pairs)
        return min(budget, self.tokens_of(pairs * self.arguments.gradient_accumulation_steps))

    def tokens_of(self, pairs: int) -> int:
        return 2 * pairs * self.length

    @property
    def hidden(self) -> int:
        """One vector of width h for every token: what a checkpoint keeps."""
        return self.c * self.shape.hidden * self.tokens

    def mask(self, tokens: int) -> int:
        """The mask of a padded batch, [sequences, 1, s, s], made once a pass: a byte each for SDPA, c for eager."""
        width = {"flash_attention_2": 0, "sdpa": 1, "eager": self.c}[self.attention]
        return width * tokens * self.length

    @abstractmethod
    def block(self) -> int:
        """What the block that keeps most keeps for its backward pass."""

    @abstractmethod
    def blocks(self) -> int:
        """What all blocks keep together."""

    @abstractmethod
    def block_backward(self) -> int:
        """What one block's backward pass needs beside what was kept."""

    @abstractmethod
    def at_work(self, tokens: int, *, adapter: bool) -> int:
        """What one block needs without gradients."""
