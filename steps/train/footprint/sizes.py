"""What the memory of a run depends on, as measured on a model of any family: plain numbers that travel as JSON.

The counterpart of `model.shape.ModelShape`, which knows a few families from their config.json alone. Made for one
recipe: its adapter, its compute dtype and its attention; batch, length, ranks and load_in_4bit may be varied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Growth:
    """Bytes of a pass: a constant, those of each token, and those of each token times the length of its sequence."""

    constant: float
    token: float
    square: float

    def bytes(self, tokens: int, length: int) -> float:
        return self.constant + tokens * (self.token + self.square * length)

    def linear_bytes(self, tokens: int) -> float:
        """The same with an attention that keeps neither scores nor masks."""
        return self.constant + tokens * self.token

    def __add__(self, other: Growth) -> Growth:
        return Growth(self.constant + other.constant, self.token + other.token, self.square + other.square)

    def at_least(self, other: Growth) -> Growth:
        """What neither is above, whatever the tokens."""
        return Growth(max(self.constant, other.constant), max(self.token, other.token), max(self.square, other.square))


NOTHING = Growth(0, 0, 0)


@dataclass(frozen=True)
class Footprint:
    """Sizes are in elements, those of passes in bytes.

    Attributes:
        hidden: elements of a token's hidden state: what a checkpoint keeps.
        embedding: of the input embeddings; `tied`: the LM head is their own weight.
        linear, other: weights that load_in_4bit stores in NF4, and all others.
        block_linear, block_other, block_adapter: of the largest block.
        largest_linear: of the largest weight that becomes 4-bit.
        adapter: of the adapter's own matrices.
        kept: what all blocks keep for the backward pass; `kept_block`: the one that keeps most.
        backward, forward: what a block needs at work in the backward pass, beside what it kept, and without gradients.
    """

    layers: int
    hidden: int
    embedding: int
    tied: bool
    linear: int
    other: int
    block_linear: int
    block_other: int
    largest_linear: int
    adapter: int
    block_adapter: int
    kept: Growth
    kept_block: Growth
    backward: Growth
    forward: Growth

    @property
    def other_named(self) -> str:
        """What `other` is, in words."""
        return "all other weights"

    def lora_parameters(self, rank: int, targets: Sequence[str]) -> int:
        """The recipe's adapter: `rank` and `targets` are those that were measured."""
        return self.adapter

    def block_lora_parameters(self, rank: int, targets: Sequence[str]) -> int:
        return self.block_adapter


def from_dict(values: Mapping[str, Any]) -> Footprint:
    """The reverse of dataclasses.asdict."""
    grown = {name: Growth(**values[name]) for name in ("kept", "kept_block", "backward", "forward")}
    return Footprint(**{**values, **grown})
