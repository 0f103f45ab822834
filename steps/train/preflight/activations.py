"""Bytes of activations: what a transformer block keeps for the backward pass, and what it needs while it is at work.

The method is that of Korthikanti et al. 2022 (arXiv 2205.05198, section 4.1: 34 s b h bytes a block, 5 a s^2 b for the
scores), the tensors are this architecture's: RMSNorm in float32, SwiGLU, grouped queries, a frozen base (whose matrix
products keep nothing) with LoRA on it, kernels that keep no scores. Which tensors live together was read from
transformers, peft and bitsandbytes in the versions of pyproject.toml; a test holds the sums against the allocations of
real models' steps on torch's meta device. Pure arithmetic; weights and gradients are for `memory`.

Symbols: h hidden size, f MLP width, s tokens of a sequence, T tokens of a micro-batch (chosen and rejected of all its
pairs), c bytes of a compute element.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from steps.train.model.shape import Linear, ModelShape
from steps.train.preflight.passes import FP32, Passes


@dataclass(frozen=True)
class Activations(Passes):
    """The activations of a dense model of a family that `ModelShape` knows."""

    shape: ModelShape

    @cached_property
    def adapted(self) -> Sequence[Linear]:
        return self.shape.adapted(self.arguments.target_modules)

    def has_adapter(self, *names: str) -> bool:
        return any(module.name.endswith(names) for module in self.adapted)

    @property
    def queries(self) -> int:
        return self.shape.heads * self.shape.head_dim

    def kept_by_mlp(self) -> int:
        """A token's bytes in SwiGLU: the gate, its activation and the up projection; the down projection's input only
        for an adapter on it."""
        return self.c * self.shape.intermediate * (4 if self.has_adapter("down_proj") else 3)

    def block(self) -> int:
        """What one block's forward pass keeps for its backward pass."""
        shape, c, adapted = self.shape, self.c, self.adapted
        token: float = 2 * FP32 * shape.hidden  # the inputs of both norms, in float32
        token += c * shape.hidden * self.has_adapter("q_proj", "k_proj", "v_proj")
        token += c * shape.hidden * self.has_adapter("gate_proj", "up_proj")
        keys = shape.kv_heads * shape.head_dim
        if shape.qk_norm:
            token += FP32 * (self.queries + keys)
        # Queries, keys, values, output. Masked SDPA and eager repeat keys and values to the queries' heads; Flash
        # Attention 2 works on unpadded tensors and pads its output again (transformers' integrations).
        grouped = self.attention == "flash_attention_2"
        token += c * (3 * self.queries + 2 * keys) if grouped else c * 4 * self.queries
        token += FP32 * shape.heads  # a statistic of every row of the scores, from which the kernels compute them again
        token += self.kept_by_mlp()
        token += c * self.arguments.lora_r * len(adapted) / shape.layers  # between an adapter's A and B
        if self.arguments.lora_dropout:  # every adapter's own input, and a byte of mask
            token += (c + 1) * sum(module.inputs for module in adapted) / shape.layers
        return math.ceil(token * self.tokens) + self._scores(self.tokens, kept=FP32 + c)

    def blocks(self) -> int:
        return self.shape.layers * self.block()

    def block_backward(self) -> int:
        """What one block's backward pass needs beside what was kept: where it is most, at the MLP's down projection,
        the gradient of its output and two of its input (of the base and of the adapter), or one and the weight that
        bitsandbytes dequantises for it; with eager attention, at the scores, when the MLP's share is free again."""
        mlp = self.c * self.shape.intermediate * self.tokens
        dequantised = self.c * self.shape.largest_linear if self.arguments.load_in_4bit else 0
        at_mlp = mlp + max(mlp if self.has_adapter("down_proj") else 2 * mlp, dequantised)
        at_scores = self._scores(self.tokens, kept=2 * FP32, masked=0) - self.kept_by_mlp() * self.tokens
        return self.hidden + max(at_mlp, at_scores)

    def at_work(self, tokens: int, *, adapter: bool) -> int:
        """What one block needs without gradients: at the MLP four vectors of width h a token and three of width f (with
        the adapter on, four); at attention the float32 copies of Qwen3's query norm, or eager's scores."""
        c, h = self.c, self.shape.hidden
        at_mlp = c * (4 * h + (4 if adapter else 3) * self.shape.intermediate) * tokens
        norm = 2 * FP32 * self.queries if self.shape.qk_norm else 0
        at_attention = (c * (3 * h + self.queries) + norm) * tokens + self._scores(tokens, kept=2 * FP32 + c)
        return max(at_mlp, at_attention)

    def _scores(self, tokens: int, *, kept: int, masked: int | None = None) -> int:
        """What grows with s^2: with eager the scores of every head, `kept` bytes each; with SDPA its mask as numbers
        (`masked` bytes each, c without it); with Flash Attention 2 nothing."""
        if self.attention == "eager":
            return kept * self.shape.heads * tokens * self.length
        width = self.c if masked is None else masked
        return width * tokens * self.length if self.attention == "sdpa" else 0
