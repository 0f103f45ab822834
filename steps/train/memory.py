"""GPU memory of one rank, estimated from the model's shape and the recipe: every item with its bytes, phase by phase.

The peak is the largest phase plus what the CUDA context takes and what fragmentation wastes. Items follow the code of
the versions in pyproject.toml (transformers, trl, peft, accelerate, torch); a test holds the activations against the
allocations of a real step on torch's meta device. Pure arithmetic: imports neither torch nor transformers, and knows
nothing of any machine. Worst case throughout: every row has `length` tokens and all of them count in the loss.

Symbols, as in Korthikanti et al. 2022 (arXiv 2205.05198): h hidden size, f MLP width, L blocks, s tokens of a sequence,
T = 2 * pairs * s tokens of a micro-batch (chosen and rejected), c bytes of a compute element, A adapter parameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from steps.train.arguments import TrainArguments
from steps.train.model_shape import ModelShape

MIB, GIB = 2**20, 2**30
Attention = Literal["flash_attention_2", "sdpa", "eager"]

# QLoRA (Dettmers et al. 2023, arXiv 2305.14314, section 3): 4 bits a weight; one constant a block of 64 weights: 32 bits,
# or with double quantisation 8 bits and a second 32-bit constant a block of 256 first ones (0.127 bits a weight).
NF4_BLOCK, CONSTANT_BLOCK = 64, 256
FP32 = 4

# trl/kernels/chunked_logprob.py and trl/trainer/utils.py: log-probabilities are computed in tiles of this size; the
# logits of a whole batch never exist.
TILE_TOKENS, TILE_VOCABULARY = 4096, 32768

# What a process holds beside PyTorch's tensors, and what PyTorch reserves without using: from 13 public out-of-memory
# messages of PyTorch, which name both. A context with its kernels: 0.25 to 0.60 GiB; with NCCL: 1.09 GiB. Reserved but
# unallocated: 0 to 9 % of the allocated (median 1 %, one pathological run far above). Weights are left out of the second:
# they are allocated once and stay.
CUDA_CONTEXT = 600 * MIB
NCCL = 500 * MIB
FRAGMENTATION = 0.10


@dataclass(frozen=True)
class Item:
    """One use of memory. `steady`: allocated once, so that it does not fragment."""

    name: str
    bytes: int
    steady: bool = False


@dataclass(frozen=True)
class Phase:
    """What lies in memory together at one moment of a run."""

    name: str
    items: tuple[Item, ...]

    @property
    def bytes(self) -> int:
        return sum(item.bytes for item in self.items)


@dataclass(frozen=True)
class Estimate:
    """The phases of a run on one rank."""

    phases: tuple[Phase, ...]

    @property
    def peak(self) -> Phase:
        return max(self.phases, key=lambda phase: phase.bytes)

    @property
    def bytes(self) -> int:
        return self.peak.bytes


def estimate(
    arguments: TrainArguments,
    shape: ModelShape,
    *,
    ranks: int = 1,
    attention: Attention = "sdpa",
    length: int | None = None,
) -> Estimate:
    """The memory of one rank of `ranks`.

    Args:
        attention: the implementation that runs; it decides whether anything grows with the square of the length.
        length: tokens of the longest row, where known; `max_length` otherwise.
    """
    run = _Run(arguments, shape, ranks, attention, length or arguments.max_length)
    phases = (run.loading(), run.reference(), run.reference_tail(), run.loss(), run.backward(), run.step(),
              run.evaluation())  # fmt: skip
    return Estimate(tuple(run.finished(phase) for phase in phases))


@dataclass(frozen=True)
class _Run:
    arguments: TrainArguments
    shape: ModelShape
    ranks: int
    attention: Attention
    length: int

    # What things measure

    @property
    def c(self) -> int:
        return 2 if self.arguments.bf16 else FP32

    @property
    def sharded(self) -> bool:
        return self.arguments.fsdp and self.ranks > 1

    def share(self, size: float) -> int:
        """A rank's part; FSDP2 pads a tensor up to a multiple of the ranks, which is left out as negligible."""
        return math.ceil(size / self.ranks) if self.sharded else math.ceil(size)

    @cached_property
    def tokens(self) -> int:
        return 2 * self.arguments.per_device_train_batch_size * self.length

    @cached_property
    def adapter(self) -> int:
        return self.shape.lora_parameters(self.arguments.lora_r, self.arguments.target_modules)

    @cached_property
    def block_adapter(self) -> int:
        return math.ceil(self.adapter / self.shape.layers)

    @cached_property
    def on_down(self) -> bool:
        """Whether the MLP's last layer has an adapter: then its input is kept for the backward pass."""
        return any(module.name.endswith("down_proj") for module in self._adapted)

    @cached_property
    def _adapted(self):
        return self.shape.adapted(self.arguments.target_modules)

    # Base model and adapter

    @property
    def blocks(self) -> float:
        """Bytes of all blocks' linear weights: half a byte each in NF4, stored in the compute dtype so that it shards."""
        return self.shape.layers * self.shape.block_linear * (0.5 if self.arguments.load_in_4bit else self.c)

    @property
    def constants(self) -> float:
        """NF4's quantisation constants. They are no parameters, so FSDP2 leaves them whole on every rank."""
        if not self.arguments.load_in_4bit:
            return 0
        weights = self.shape.layers * self.shape.block_linear
        if self.arguments.bnb_4bit_use_double_quant:
            return weights / NF4_BLOCK * (1 + FP32 / CONSTANT_BLOCK)
        return weights / NF4_BLOCK * FP32

    @property
    def rest(self) -> int:
        """What NF4 leaves alone: embeddings, LM head, norms, biases."""
        return self.c * (self.shape.outside_blocks + self.shape.layers * self.shape.block_other)

    def base(self, whole: bool = False) -> list[Item]:
        share = math.ceil if whole else self.share
        kind = "NF4" if self.arguments.load_in_4bit else "bfloat16" if self.c == 2 else "float32"
        items = [Item(f"base: blocks in {kind}", share(self.blocks), steady=True)]
        if self.constants:
            items.append(Item("base: quantisation constants", math.ceil(self.constants), steady=True))
        return [*items, Item("base: embeddings, LM head, norms", share(self.rest), steady=True)]

    def held(self) -> list[Item]:
        """What training keeps all the time: the adapter trains in float32 (PairTrainer), AdamW keeps two averages."""
        items = [
            *self.base(),
            Item("adapter: float32 weights", self.share(FP32 * self.adapter)),
            Item("adapter: gradients", self.share(FP32 * self.adapter)),
            Item("adapter: AdamW's two averages", self.share(2 * FP32 * self.adapter)),
        ]
        if self.ranks > 1 and not self.sharded:
            items.append(Item("adapter: DDP's gradient buckets", FP32 * self.adapter))
        if not self.sharded and self.c < FP32:
            # Autocast's copies live until their block's backward pass; FSDP2 casts while it gathers.
            cast = self.block_adapter if self.arguments.gradient_checkpointing else self.adapter
            items.append(Item("adapter: bfloat16 copies", self.c * cast))
        return items

    def gathered(self) -> list[Item]:
        """Blocks that FSDP2 holds whole: the one at work, and the next one's all-gather buffer
        (torch/distributed/fsdp/_fully_shard/_fsdp_param_group.py). Without reshard_after_forward all of them."""
        if not self.sharded:
            return []
        block = self.blocks / self.shape.layers + self.c * (self.shape.block_other + self.block_adapter)
        count = 2 if self.arguments.fsdp_config.reshard_after_forward else self.shape.layers + 1
        named = "two blocks" if count == 2 else f"{count} blocks"
        return [Item(f"FSDP: {named} gathered", math.ceil(count * block))]

    def head(self, copies: int) -> list[Item]:
        """The LM head, whole. trl's fused head gathers it in each forward pass and autograd keeps it; tied to the
        embeddings it is gathered once and stays until the backward pass ends (accelerate, fsdp2_prepare_model)."""
        copies = 1 if self.shape.tied else copies
        return (
            [Item("FSDP: LM head gathered", copies * self.c * self.shape.embedding)] if self.sharded and copies else []
        )

    # Activations

    def saved(self) -> list[Item]:
        """What the policy's forward pass keeps for the backward pass."""
        one = self.c * self.shape.hidden * self.tokens
        if self.arguments.gradient_checkpointing:
            return [*self.mask(), Item("activations: one checkpoint a block", self.shape.layers * one)]
        return [*self.mask(), Item("activations: all blocks", self.shape.layers * self.block())]

    def block(self) -> int:
        """Bytes that one block's forward pass keeps. Korthikanti et al. count 34 s b h for GELU, dropout and 16-bit
        norms (section 4.1); here are the tensors of this architecture, with a frozen base, whose matrix products keep
        nothing: RMSNorm computes in float32 (4 h, twice), the adapters' inputs (h, twice), q, k, v and the attention's
        output, SwiGLU's gate, its activation and the up projection (3 f), the down projection's input (f), and the
        adapters' inner vectors. Flash and SDPA kernels keep no s^2 term: only a row statistic, and SDPA its mask."""
        shape, c = self.shape, self.c
        queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        token = 2 * FP32 * shape.hidden + 2 * c * shape.hidden
        token += FP32 * (queries + keys) if shape.qk_norm else 0
        # Masked SDPA repeats keys and values to the queries' heads; Flash Attention 2 pads its output again.
        token += {
            "sdpa": 4 * c * queries,
            "flash_attention_2": c * (3 * queries + 2 * keys),
            "eager": 4 * c * queries,
        }[self.attention] + FP32 * shape.heads
        token += c * shape.intermediate * (4 if self.on_down else 3)
        adapted = len(self._adapted) / shape.layers
        token += c * self.arguments.lora_r * adapted
        if self.arguments.lora_dropout:  # each adapter's dropped input, and a byte of mask
            token += (c + 1) * sum(module.inputs for module in self._adapted) / shape.layers
        squared = 2 * self.arguments.per_device_train_batch_size * self.length**2
        square = {"sdpa": c * squared, "flash_attention_2": 0, "eager": (FP32 + c) * shape.heads * squared}
        return math.ceil(token * self.tokens) + square[self.attention]

    def mask(self, pairs: int | None = None) -> list[Item]:
        """The attention mask of a padded batch, [2 * pairs, 1, s, s], a byte each for SDPA, c for eager."""
        if self.attention == "flash_attention_2":
            return []
        width = 1 if self.attention == "sdpa" else self.c
        size = 2 * (pairs or self.arguments.per_device_train_batch_size) * self.length**2 * width
        return [Item("attention mask, grows with length squared", size)]

    def inference(self, tokens: int, products: int) -> int:
        """One block without gradients: four h-vectors a token and `products` f-vectors (three, with adapters four), or
        where it is more the float32 copies of Qwen3's query norm."""
        shape = self.shape
        mlp = self.c * (4 * shape.hidden + products * shape.intermediate)
        queries = shape.heads * shape.head_dim
        norm = self.c * (3 * shape.hidden + queries) + (2 * FP32 * queries if shape.qk_norm else 0)
        square = 0
        if self.attention != "flash_attention_2":
            per_head = shape.heads * (FP32 + self.c) if self.attention == "eager" else self.c
            square = per_head * tokens * self.length
        return max(mlp, norm) * tokens + square

    def tile(self, tokens: int) -> Item:
        return Item("log-probabilities: one tile of logits", min(tokens, TILE_TOKENS) * TILE_VOCABULARY * self.c)

    def last_hidden(self) -> Item:
        """The final norm in float32 and the hidden states that meet the LM head."""
        return Item("activations: final norm and hidden states", (FP32 + self.c) * self.shape.hidden * self.tokens)

    # Phases

    def loading(self) -> Phase:
        """In 4 bits every rank loads the whole base onto its GPU, one tensor at a time in the compute dtype, and only
        then shards it; while it does, accelerate's fsdp2_prepare_model holds the unsharded tensors (`original_sd`)."""
        if not self.arguments.load_in_4bit and self.sharded:  # loaded on the CPU, sharded on the way to the GPU
            return Phase("loading", (*self.held(), *self.gathered()))
        largest = max(self.shape.embedding, *(linear.weights for linear in self.shape.linears))
        items = [*self.base(whole=True), Item("adapter: float32 weights", FP32 * self.adapter)]
        if self.sharded:
            everything = self.share(self.blocks) + self.share(self.rest) + self.share(FP32 * self.adapter)
            items.append(Item("FSDP: this rank's shards, beside the whole", everything))
        else:
            items.append(Item("the tensor that is being quantised", self.c * largest))
        return Phase("loading", tuple(items))

    def reference(self) -> Phase:
        """The reference pass through the blocks, while the policy's activations wait for their backward pass."""
        work = Item("reference pass: one block at work", self.inference(self.tokens, products=3))
        return Phase(
            "reference pass",
            (*self.held(), *self.gathered(), *self.head(1), *self.saved(), self.last_hidden(), work),
        )

    def reference_tail(self) -> Phase:
        hidden = Item("reference pass: hidden states", 2 * self.c * self.shape.hidden * self.tokens)
        items = (*self.held(), *self.head(2), *self.saved(), self.last_hidden(), hidden, self.tile(self.tokens))
        return Phase("reference log-probabilities", items)

    def loss(self) -> Phase:
        """Backward through the fused LM head: gradients of the hidden states, in float32 and then in c bytes."""
        gradient = Item("log-probabilities: gradient", (FP32 + self.c) * self.shape.hidden * self.tokens)
        items = (*self.held(), *self.head(1), *self.saved(), self.last_hidden(), self.tile(self.tokens), gradient)
        return Phase("backward, log-probabilities", items)

    def backward(self) -> Phase:
        """Backward through the last block: with checkpointing it is computed again first."""
        shape = self.shape
        mlp = self.c * shape.intermediate * self.tokens
        dequantised = self.c * max(linear.weights for linear in shape.linears) if self.arguments.load_in_4bit else 0
        work = self.c * shape.hidden * self.tokens + mlp + max(mlp if self.on_down else 2 * mlp, dequantised)
        items = [*self.held(), *self.gathered(), *self.head(0), *self.saved()]
        if self.arguments.gradient_checkpointing:
            items.append(Item("activations: one block, computed again", self.block()))
        items.append(Item("backward: gradients and a dequantised weight", work))
        if self.attention == "eager":
            square = 2 * FP32 * shape.heads * self.tokens * self.length
            items.append(Item("backward: attention scores", square))
        if self.sharded:  # one block's gradients in c bytes, and two float32 buffers of the reduce-scatter
            items.append(Item("FSDP: gradients on their way", (self.c + 2 * FP32) * self.block_adapter))
        return Phase("backward, blocks", tuple(items))

    def step(self) -> Phase:
        """torch's multi-tensor AdamW needs one more copy of the parameters (its documentation, `foreach`)."""
        extra = self.share(FP32 * self.adapter) if self.arguments.optim == "adamw_torch" else 0
        return Phase("optimizer step", (*self.held(), Item("AdamW: temporaries", extra)))

    def evaluation(self) -> Phase:
        pairs = self.arguments.per_device_eval_batch_size
        tokens = 2 * pairs * self.length
        work = self.inference(tokens, products=4)
        hidden = 2 * self.c * self.shape.hidden * tokens
        largest = Item("evaluation: one block at work", work)
        tail = (Item("evaluation: hidden states", hidden), self.tile(tokens))
        steps = ((*self.gathered(), largest), (*self.head(1), *tail))
        return Phase(
            "evaluation",
            (*self.held(), *self.mask(pairs), *max(steps, key=lambda items: sum(item.bytes for item in items))),
        )

    def finished(self, phase: Phase) -> Phase:
        """A phase with what lies beside PyTorch's tensors."""
        waste = math.ceil(FRAGMENTATION * sum(item.bytes for item in phase.items if not item.steady))
        beside = [Item("fragmentation, 10 % of what is not weights", waste), Item("CUDA context", CUDA_CONTEXT)]
        if self.ranks > 1:
            beside.append(Item("NCCL", NCCL))
        return Phase(phase.name, tuple(item for item in (*phase.items, *beside) if item.bytes))
