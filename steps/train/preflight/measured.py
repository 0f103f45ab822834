"""Bytes of activations of a model of any family, as measured on its own code (`footprint.measure`)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from steps.train.footprint.sizes import Footprint, Growth
from steps.train.preflight.passes import Passes


@dataclass(frozen=True)
class MeasuredActivations(Passes):
    """Measured with SDPA and the mask of a padded batch, or with eager attention where the model has no other."""

    shape: Footprint

    def block(self) -> int:
        return self._bytes(self.shape.kept_block, self.tokens)

    def blocks(self) -> int:
        return self._bytes(self.shape.kept, self.tokens)

    def block_backward(self) -> int:
        """As measured, and a weight that bitsandbytes dequantises at the same time."""
        dequantised = self.c * self.shape.largest_linear if self.arguments.load_in_4bit else 0
        return self._bytes(self.shape.backward, self.tokens) + dequantised

    def at_work(self, tokens: int, *, adapter: bool) -> int:
        """Measured with the adapter on; without it a little less."""
        return self._bytes(self.shape.forward, tokens)

    def _bytes(self, growth: Growth, tokens: int) -> int:
        flash = self.attention == "flash_attention_2"
        return math.ceil(growth.linear_bytes(tokens) if flash else growth.bytes(tokens, self.length))
