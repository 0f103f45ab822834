"""What the base takes by itself, where the model's shape is not known and the memory of a run cannot be estimated.

Counted from the headers of a local base's files, without torch, or handed over by a job that has the model's classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from steps.shared.contract import StepError
from steps.shared.experts import of_experts
from steps.shared.weights.safetensors_file import read_header
from steps.train.arguments import TrainArguments
from steps.train.preflight.memory import NF4_BLOCK
from steps.train.preflight.passes import FP32

# In the names of what stays as it is under load_in_4bit although it is a matrix: embeddings, the LM head.
ENDS = ("embed", "wte", "wpe", "lm_head", "output.weight", "backbone.embeddings")


@dataclass(frozen=True)
class BaseAlone:
    """Numbers of weights.

    Attributes:
        quantised: those that load_in_4bit stores in NF4; of files, at most so many.
        experts: of a mixture, all of them. transformers holds them as one tensor a layer, which stays as it is.
    """

    weights: int
    quantised: int
    experts: int

    def bytes_a_rank(self, arguments: TrainArguments, ranks: int) -> int:
        """Bytes of the base on a GPU: in 4 bits every rank loads all of it before it is sharded."""
        c = 2 if arguments.bf16 else FP32
        small = self.quantised if arguments.load_in_4bit else 0
        size = small / 2 + small / NF4_BLOCK + (self.weights - small) * c
        sharded = arguments.fsdp and not arguments.load_in_4bit
        return int(size / ranks) if sharded else int(size)

    def told(self, arguments: TrainArguments) -> str:
        """The shares, as a sentence."""
        text = f"the base has {self.weights / 1e9:.3g} billion weights"
        if self.experts:
            text += f", {self.experts / self.weights:.0%} of them experts"
        if arguments.load_in_4bit:
            share = f"{self.quantised / self.weights:.0%}"
            text += f"; at most {share} become 4-bit, the others stay in {arguments.compute_kind}"
        return text


def of_folder(folder: Path) -> BaseAlone | None:
    """Counted from the safetensors files of a model's folder; None where it has none, or one is not whole."""
    files = sorted(folder.glob("model*.safetensors"))
    try:
        tensors = [(name, stored.shape) for file in files for name, stored in read_header(file).items()]
    except StepError:  # Train and Merge say what is wrong with a file
        return None
    return _count(tensors) if tensors else None


def _count(tensors: Iterable[tuple[str, tuple[int, ...]]]) -> BaseAlone:
    weights = quantised = experts = 0
    for name, shape in tensors:
        size = math.prod(shape)
        weights += size
        if of_experts(name) and len(shape) > 1:
            experts += size
        elif len(shape) == 2 and not any(end in name for end in ENDS):
            quantised += size
    return BaseAlone(weights, quantised, experts)
