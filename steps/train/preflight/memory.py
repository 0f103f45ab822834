"""GPU memory of one rank, estimated from the model's shape and the recipe: every item with its bytes, phase by phase.

The peak is the largest phase, with what the CUDA context takes and what fragmentation wastes. Items follow the code of
the versions in pyproject.toml (transformers, trl, peft, accelerate, torch). Pure arithmetic: imports neither torch nor
transformers, and knows no machine. The worst case throughout: every row has `length` tokens and all count in the loss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from steps.train.arguments import Attention, TrainArguments
from steps.train.footprint.sizes import Footprint
from steps.train.model.shape import ModelShape
from steps.train.preflight.activations import Activations
from steps.train.preflight.measured import MeasuredActivations
from steps.train.preflight.passes import FP32, Passes

MIB, GIB = 2**20, 2**30

# QLoRA (Dettmers et al. 2023, arXiv 2305.14314, section 3): 4 bits a weight and a 32-bit constant for 64 weights; with
# double quantisation an 8-bit one, and a second of 32 bits for 256 of those: 0.127 bits a weight instead of 0.5.
NF4_BLOCK, CONSTANT_BLOCK = 64, 256

# trl/kernels/chunked_logprob.py and trl/trainer/utils.py: log-probabilities are computed in tiles of this size, the
# logits of a batch never exist as a whole.
TILE_TOKENS, TILE_VOCABULARY = 4096, 32768

# What a process holds beside PyTorch's tensors, and what PyTorch reserves without using: public out-of-memory messages
# of PyTorch name both. The context with its kernels: 0.2 to 0.6 GiB in ten of them; with NCCL 1.1 GiB, in one. Reserved
# but unallocated: at most 9 % of the allocated in 17 of 18. The base is left out: it is allocated once and stays.
CUDA_CONTEXT = 600 * MIB
NCCL = 500 * MIB
FRAGMENTATION = 0.10


@dataclass(frozen=True)
class Item:
    """One use of memory; `steady`: allocated once, so that it does not fragment."""

    name: str
    bytes: int
    steady: bool = False


@dataclass(frozen=True)
class Phase:
    """What is in memory together at one moment of a run."""

    name: str
    items: tuple[Item, ...]

    @property
    def bytes(self) -> int:
        return sum(item.bytes for item in self.items)


@dataclass(frozen=True)
class Estimate:
    """The phases of a run on one rank, in their order."""

    phases: tuple[Phase, ...]

    @property
    def peak(self) -> Phase:
        return max(self.phases, key=lambda phase: phase.bytes)


def estimate(
    arguments: TrainArguments,
    shape: ModelShape | Footprint,
    *,
    ranks: int = 1,
    attention: Attention = "sdpa",
    length: int | None = None,
) -> Estimate:
    """The memory of one rank of `ranks` while it trains; what judges at the end is for `judging`.

    Args:
        attention: the implementation that runs.
        length: tokens of the longest row, where known; `max_length` otherwise.
    """
    rank = rank_memory(arguments, shape, ranks, attention, length)
    return Estimate(tuple(rank.finished(phase) for phase in rank.phases()))


def rank_memory(
    arguments: TrainArguments, shape: ModelShape | Footprint, ranks: int, attention: Attention, length: int | None
) -> RankMemory:
    """What a rank holds by these arguments."""
    longest = length or arguments.max_length
    activations: Passes
    if isinstance(shape, ModelShape):
        activations = Activations(arguments, shape, attention, longest)
    else:
        activations = MeasuredActivations(arguments, shape, attention, longest)
    return RankMemory(arguments, shape, ranks, activations)


@dataclass(frozen=True)
class RankMemory:
    """What one rank has in memory. Sizes are bytes; `adapter` and `block_adapter` count weights."""

    arguments: TrainArguments
    shape: ModelShape | Footprint
    ranks: int
    activations: Passes

    @property
    def c(self) -> int:
        return self.activations.c

    @property
    def sharded(self) -> bool:
        return self.arguments.fsdp and self.ranks > 1

    def share(self, size: float) -> int:
        """A rank's part. FSDP2 pads a tensor up to a multiple of the ranks: left out as negligible."""
        return math.ceil(size / self.ranks) if self.sharded else math.ceil(size)

    @cached_property
    def adapter(self) -> int:
        return self.shape.lora_parameters(self.arguments.lora_r, self.arguments.target_modules)

    @property
    def block_adapter(self) -> int:
        return self.shape.block_lora_parameters(self.arguments.lora_r, self.arguments.target_modules)

    # In memory all the time

    @property
    def element(self) -> float:
        """Bytes of a linear weight."""
        return 0.5 if self.arguments.load_in_4bit else self.c

    @property
    def blocks(self) -> float:
        """Bytes of the blocks' linear weights. NF4's are stored in the compute dtype, so that FSDP2 shards them."""
        return self.shape.linear * self.element

    @property
    def constants(self) -> float:
        """NF4's quantisation constants. They are no parameters, so FSDP2 leaves them whole on every rank."""
        if not self.arguments.load_in_4bit:
            return 0
        each = 1 + FP32 / CONSTANT_BLOCK if self.arguments.bnb_4bit_use_double_quant else FP32
        return self.shape.linear / NF4_BLOCK * each

    @property
    def rest(self) -> int:
        """What NF4 leaves alone: embeddings, LM head, norms, biases; of a mixture the experts that are one tensor."""
        return self.c * self.shape.other

    def base(self, *, whole: bool = False) -> list[Item]:
        share = math.ceil if whole else self.share
        kind = "NF4" if self.arguments.load_in_4bit else self.arguments.compute_kind
        return [
            Item(f"base: blocks in {kind}", share(self.blocks), steady=True),
            Item("base: quantisation constants", math.ceil(self.constants), steady=True),
            Item(f"base: {self.shape.other_named}", share(self.rest), steady=True),
        ]

    def held(self) -> list[Item]:
        """Base and adapter while training: PairTrainer keeps the adapter in float32, AdamW two averages of it."""
        items = [
            *self.base(),
            Item("adapter: float32 weights", self.share(FP32 * self.adapter)),
            Item("adapter: gradients", self.share(FP32 * self.adapter)),
            Item("adapter: AdamW's two averages", self.share(2 * FP32 * self.adapter)),
        ]
        if self.arguments.initial_adapter:
            items.append(Item("reference: the initial adapter's float32 weights", self.share(FP32 * self.adapter)))
        if self.ranks > 1 and not self.sharded:
            items.append(Item("adapter: DDP's gradient buckets", FP32 * self.adapter))
        if self.arguments.bf16 and not self.sharded:
            # Autocast's copies live until their block's backward pass; FSDP2 casts while it gathers.
            cast = self.block_adapter if self.arguments.gradient_checkpointing else self.adapter
            items.append(Item("adapter: bfloat16 copies", self.c * cast))
        return items

    # What FSDP2 gathers

    def gathered(self, blocks: int = 2) -> list[Item]:
        """Blocks that are whole: the one at work and the next one's all-gather buffer, behind the last block one buffer
        (torch/distributed/fsdp/_fully_shard/_fsdp_param_group.py). Without reshard_after_forward all blocks."""
        if not self.sharded:
            return []
        block = self.shape.block_linear * self.element + self.c * (self.shape.block_other + self.block_adapter)
        if not self.arguments.fsdp_config.reshard_after_forward:
            blocks += self.shape.layers - 1
        return [Item("FSDP: blocks gathered", math.ceil(blocks * block))]

    def head(self, copies: int) -> list[Item]:
        """The LM head, whole: trl's fused head gathers it in every forward pass and autograd keeps it; tied to the
        embeddings it is gathered once and stays to the end of the backward pass (accelerate's fsdp2_prepare_model)."""
        if not self.sharded:
            return []
        copies = 1 if self.shape.tied else copies
        return [Item("FSDP: LM head gathered", copies * self.c * self.shape.embedding)]

    def embeddings(self) -> list[Item]:
        """Where a forward pass begins FSDP2 holds the whole embeddings and the buffer that they came in; once more at
        the end of the backward pass, when less else is there."""
        return [Item("FSDP: embeddings gathered", 2 * self.c * self.shape.embedding)] if self.sharded else []

    # What passes through

    def saved(self) -> list[Item]:
        """What the policy's forward pass keeps for the backward pass."""
        mask = Item("attention mask", self.activations.mask(self.activations.tokens))
        if self.arguments.gradient_checkpointing:
            return [mask, Item("activations: a checkpoint a block", self.shape.layers * self.activations.hidden)]
        return [mask, Item("activations: all blocks", self.activations.blocks())]

    def wide(self, vectors: int, tokens: int) -> int:
        """Bytes of `vectors` bytes for each of the hidden elements of so many tokens."""
        return vectors * self.shape.hidden * tokens

    def last_hidden(self) -> Item:
        """The final norm's input in float32, and the hidden states that meet the LM head."""
        return Item("activations: final norm, hidden states", self.wide(FP32 + self.c, self.activations.tokens))

    def tile(self, tokens: int) -> Item:
        return Item("log-probabilities: a tile of logits", min(tokens, TILE_TOKENS) * TILE_VOCABULARY * self.c)

    def phases(self) -> list[Phase]:
        """The moments at which memory can be at its peak, in the order of a run."""
        tokens, held = self.activations.tokens, self.held()
        kept, last, tile = [*held, *self.saved()], self.last_hidden(), self.tile(tokens)
        at_work = Item("reference: a block at work", self.activations.at_work(tokens, adapter=False))
        hidden = Item("reference: hidden states", self.wide(2 * self.c, tokens))
        gradient = Item("log-probabilities: gradient", self.wide(FP32 + self.c, tokens))
        # A precomputed reference passed before the first step, in evaluation's batches.
        precomputed = self.arguments.precompute_ref_log_probs
        reference = [
            Phase("reference pass", (*kept, last, *self.gathered(), *self.head(1), at_work)),
            Phase("reference, log-probabilities", (*kept, last, *self.gathered(1), *self.head(2), hidden, tile)),
        ]
        # Tied embeddings are gathered for the policy's pass and stay; others again for the reference's.
        before = held if self.shape.tied or precomputed else [*kept, last, *self.head(1)]
        return [
            self.loading(),
            Phase("evaluation", (*held, *self.evaluation())),
            Phase("forward, embeddings", (*before, *self.embeddings())),
            *([] if precomputed else reference),
            Phase("backward, log-probabilities", (*kept, last, *self.gathered(1), *self.head(1), tile, gradient)),
            Phase("backward, blocks", (*kept, *self.backward())),
            Phase("optimizer step", (*held, Item("AdamW: temporaries", self.adamw()))),
        ]

    def loading(self) -> Phase:
        """In 4 bits every rank loads the whole base onto its GPU, one tensor at a time in the compute dtype, and only
        then shards it; meanwhile accelerate's fsdp2_prepare_model holds the unsharded tensors (`original_sd`)."""
        if self.sharded and not self.arguments.load_in_4bit:  # loaded by the CPU, sharded on the way to the GPU
            return Phase("loading", (*self.base(), *self.gathered()))
        adapters = FP32 * self.adapter * (2 if self.arguments.initial_adapter else 1)
        items = [*self.base(whole=True), Item("adapter: float32 weights", adapters)]
        if self.sharded:
            shards = self.share(self.blocks + self.rest + adapters)
            items.append(Item("FSDP: this rank's shards, beside the whole", shards))
        elif self.arguments.load_in_4bit:
            items.append(Item("the weight that is being quantised", self.c * self.shape.largest_linear))
        return Phase("loading", tuple(items))

    def evaluation(self) -> list[Item]:
        """Through the blocks, or at the log-probabilities, whichever is more."""
        tokens = self.activations.tokens_of(self.arguments.per_device_eval_batch_size)
        blocks = [*self.gathered(), Item("evaluation: a block at work", self.activations.at_work(tokens, adapter=True))]
        states = Item("evaluation: hidden states", self.wide(2 * self.c, tokens))
        end = [*self.gathered(1), *self.head(1), states, self.tile(tokens)]
        larger = max((blocks, end), key=lambda items: sum(item.bytes for item in items))
        return [Item("attention mask", self.activations.mask(tokens)), *larger]

    def backward(self) -> list[Item]:
        """Backward through a block; with checkpointing it is computed again first."""
        items = [*self.gathered(), *self.head(0)]
        if self.arguments.gradient_checkpointing:
            items.append(Item("activations: one block, computed again", self.activations.block()))
        items.append(Item("backward: a block at work", self.activations.block_backward()))
        if self.sharded:  # a block's gradients in c bytes, and two float32 buffers of the reduce-scatter
            items.append(Item("FSDP: gradients on their way", (self.c + 2 * FP32) * self.block_adapter))
        return items

    def adamw(self) -> int:
        """torch's multi-tensor AdamW makes one more copy of the parameters (its documentation, `foreach`)."""
        return self.share(FP32 * self.adapter) if self.arguments.optim == "adamw_torch" else 0

    def finished(self, phase: Phase) -> Phase:
        """A phase with what the process has in memory beside its tensors; items of 0 bytes are left out."""
        waste = math.ceil(FRAGMENTATION * sum(item.bytes for item in phase.items if not item.steady))
        beside = [
            Item(f"fragmentation, {FRAGMENTATION:.0%} of all but the base", waste),
            Item("CUDA context", CUDA_CONTEXT, steady=True),
            Item("NCCL", NCCL if self.ranks > 1 else 0, steady=True),
        ]
        return Phase(phase.name, tuple(item for item in (*phase.items, *beside) if item.bytes))
