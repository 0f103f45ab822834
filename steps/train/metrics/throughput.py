"""Tokens, time and model FLOPs of the optimizer steps: what a rank has done between two metric lines, and its MFU.

Tokens are counted from the masks of the batches that were trained on, on every rank. Imports torch only where a batch
is counted, so that the arithmetic is tested by itself.

Model FLOPs (`flops`) are what the mathematics of a step needs, as in MFU's definition (Chowdhery et al. 2022, PaLM,
arXiv 2204.02311, appendix B): what checkpointing computes again, padding, dequantising and norms are left out. A matrix
of w weights costs 2 w a token forward, 2 w for the gradient of its input and 2 w for the gradient of its weights. A
LoRA run never computes the last for the frozen base, so that the usual 6 N does not hold for its training pass:

    policy, forward and backward:  4 W + 6 A a token, 4 V a scored token, 6 a squared length
    reference, forward only:       2 W a token, 2 V a scored token, 2 a squared length; none where it is precomputed

W: weights of the blocks' linear layers; A: adapter weights on them; V: weights of the LM head, which trl applies to the
answers' tokens only; squared length: attention's two products, layers * heads * head_dim a pair of positions, of which
causal attention needs half. A sliding window shorter than a row is not taken into account. Of a packed row
(`share_prompts`) each of its tokens counts once, and the pairs of positions that it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from steps.train.metrics import gpu as gpu_metrics
from steps.train.model.shape import EMBEDDINGS, ModelShape

if TYPE_CHECKING:
    import torch

# Dense bf16 peak of the tensor cores in FLOP/s, by the name that torch.cuda.get_device_name reports; the longest name
# that is contained wins. From NVIDIA's datasheets; where they print sparsity's figure, half of it:
# "A100 Tensor Core GPU" (312 for SXM and PCIe), "H100 Tensor Core GPU" (SXM 1,979 / 2, PCIe 1,513 / 2, NVL 1,671 / 2),
# "H200 Tensor Core GPU" (SXM 1,979 / 2, NVL 1,671 / 2), "A10G" (70; the A10's 125 is another chip clocked higher),
# "L4" (242 / 2), "L40S" (362.05). "V100" (SXM2 125, PCIe 112) and "T4" (65) have no bf16: their fp16 peak.
PEAKS = {
    "A100": 312e12,
    "H100": 989.5e12,
    "H100 PCIe": 756.5e12,
    "H100 NVL": 835.5e12,
    "H200": 989.5e12,
    "H200 NVL": 835.5e12,
    "A10G": 70e12,
    "L4": 121e12,
    "L40S": 362.05e12,
    "V100-SXM2": 125e12,
    "V100-PCIE": 112e12,
    "T4": 65e12,
}


def peak_flops(device: str) -> float | None:
    """FLOP/s of a device at its dense 16-bit peak; None for one that the table does not know, where there is no MFU."""
    words = f" {device.replace('Tesla ', '')} "
    known = [name for name in PEAKS if f" {name} " in words or f" {name}-" in words]
    return PEAKS[max(known, key=len)] if known else None


@dataclass(frozen=True)
class Counts:
    """What a rank has trained on.

    Attributes:
        tokens: tokens of prompts and answers of both sides, without padding.
        computed: tokens that went through the model: with padding, or with `share_prompts` packed.
        needed: tokens that the mathematics needs: without padding, and of a packed row each of its own.
        scored: answer tokens, whose log-probabilities enter the loss.
        squares: sum of the squared lengths of all sequences; of a packed row what `Packed.squares` is.
    """

    tokens: int = 0
    computed: int = 0
    needed: int = 0
    scored: int = 0
    squares: int = 0


class Counter:
    """Adds up the batches of a rank on their device; only `take` waits for it."""

    def __init__(self) -> None:
        self._sums: torch.Tensor | None = None

    def add(self, inputs: Mapping[str, Any]) -> None:
        """Count one batch of the collator: `attention_mask` and `completion_mask`, each [sequences, longest], and
        `packed`, if it is."""
        import torch

        mask, packed = inputs["attention_mask"], inputs.get("packed")
        lengths = mask.sum(dim=1)
        tokens = lengths.sum()
        if packed is None:
            rest = [mask.numel(), tokens, inputs["completion_mask"].sum(), (lengths * lengths).sum()]
        else:
            rest = [packed.tokens, packed.tokens, len(packed.scored), packed.squares]
        found = torch.stack([torch.as_tensor(one, device=mask.device) for one in (tokens, *rest)])
        self._sums = found if self._sums is None else self._sums + found

    def take(self) -> Counts:
        """The counts since the last call."""
        sums, self._sums = self._sums, None
        return Counts() if sums is None else Counts(*(int(value) for value in sums.tolist()))


def flops(
    shape: ModelShape, rank: int, targets: Sequence[str], counts: Counts, *, reference_pass: bool = True
) -> float:
    """Model FLOPs of training on `counts` with DPO and LoRA: the formula at the top of this module.

    Args:
        rank: lora_r.
        targets: target_modules.
        reference_pass: whether the steps compute the reference.
    """
    base = shape.layers * shape.block_linear
    adapter = sum(rank * (one.inputs + one.outputs) for one in shape.adapted(targets) if one.name != EMBEDDINGS)
    attention = shape.layers * shape.heads * shape.head_dim
    policy = (4 * base + 6 * adapter) * counts.needed + 4 * shape.embedding * counts.scored
    policy += 6 * attention * counts.squares
    if not reference_pass:
        return float(policy)
    reference = 2 * base * counts.needed + 2 * shape.embedding * counts.scored + 2 * attention * counts.squares
    return float(policy + reference)


@dataclass(frozen=True)
class RankFigures:
    """What one rank measured between two metric lines.

    Attributes:
        node, device: where it runs; `device` is NVML's index of the GPU, None without one.
        steps, seconds: optimizer steps and the time they took, without evaluations, logging and checkpoints.
        flops: model FLOPs; None where the model's shape is not known.
        peak: FLOP/s of the device; None where it is not known.
        gpu: NVML's figures, by name; empty without a GPU or NVML.
    """

    node: int
    device: int | None
    steps: int
    seconds: float
    counts: Counts
    flops: float | None
    peak: float | None
    gpu: Mapping[str, float]

    @property
    def mfu(self) -> float | None:
        """Model FLOPs utilisation: model FLOPs a second over the device's peak, 0 to 1."""
        if self.flops is None or self.peak is None or not self.seconds:
            return None
        return self.flops / self.seconds / self.peak


def whole(ranks: Sequence[RankFigures]) -> dict[str, float]:
    """The figures of all ranks together, under the names of the metric lines.

    The slowest rank's time is the step's time: the others wait for it. MFU only where every rank knows its own.
    """
    steps, seconds = max(one.steps for one in ranks), max(one.seconds for one in ranks)
    if not steps or not seconds:
        return {}
    tokens, computed = (sum(getattr(one.counts, name) for one in ranks) for name in ("tokens", "computed"))
    found = {
        "tokens_per_step": tokens / steps,
        "tokens_per_second": tokens / seconds,
        "computed_tokens_per_second": computed / seconds,
        "step_seconds": seconds / steps,
    }
    if all(one.mfu is not None for one in ranks):
        found["mfu"] = sum(one.flops or 0 for one in ranks) / seconds / sum(one.peak or 0 for one in ranks)
    return found


def per_gpu(ranks: Sequence[RankFigures]) -> dict[str, float]:
    """`system/node{n}/gpu{i}/{name}` of every rank that has a GPU: its own figures, never another's."""
    found: dict[str, float] = {}
    for one in ranks:
        if one.device is None or not one.seconds or not one.steps:
            continue
        figures: dict[str, Any] = dict(one.gpu)
        figures |= {"tokens_per_second": one.counts.tokens / one.seconds, "step_seconds": one.seconds / one.steps}
        if one.mfu is not None:
            figures["mfu"] = one.mfu
        found |= {f"system/node{one.node}/gpu{one.device}/{name}": float(value) for name, value in figures.items()}
    return found


def all_gpus(ranks: Sequence[RankFigures]) -> dict[str, float]:
    """NVML's figures over all GPUs, for the metric line."""
    return {f"gpu_{name}": value for name, value in gpu_metrics.together([one.gpu for one in ranks]).items()}
