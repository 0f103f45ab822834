"""How much of a model the 4-bit quantisation and the adapter reach, counted on a skeleton and told."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from steps.shared import experts
from steps.train.arguments import TrainArguments
from steps.train.model.adapter import base_of

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Coverage:
    """Numbers of weights of a model."""

    weights: int
    embeddings: int  # of these, the embeddings and the LM head, which stay as they are
    quantised: int  # those that load_in_4bit stores in NF4
    adapted: int  # those that the adapter changes
    experts: int  # of a mixture, all of them; 0: none
    adapted_experts: int
    adapter: int  # of the adapter's own matrices

    def share(self, part: int) -> str:
        return f"{part / self.weights:.0%}"

    def sentences(self, arguments: TrainArguments) -> list[str]:
        """The shares in words, for the log and the page of the run."""
        kind = arguments.compute_kind
        four_bits = f"{self.share(self.quantised)} in NF4, the others in {kind}"
        stored = four_bits if arguments.load_in_4bit else f"all in {kind}"
        large = self.weights >= 10**9
        number = f"{self.weights / 1e9:.1f} billion" if large else f"{self.weights / 1e6:.3g} million"
        told = [f"the base's {number} weights: {stored}; adapters on {self.share(self.adapted)}"]
        if self.experts:
            part = self.adapted_experts / self.experts
            reached = f"adapters on {part:.0%} of them" if part else "none of them gets an adapter"
            told.append(f"its experts are {self.share(self.experts)} of the weights; {reached}")
        return told


def measure(
    arguments: TrainArguments, model: PreTrainedModel, adapted: PeftModel, unquantised: Sequence[str]
) -> Coverage:
    """Count the weights.

    Args:
        model: the skeleton; `adapted`: a copy with the adapter on.
        unquantised: what the quantisation is told to leave out; none: its own default.
    """
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    quantised = set(quantised_names(model, unquantised)) if arguments.load_in_4bit else set()
    of_experts = {name for name in sizes if _of_experts(model, name)}
    reached = set(_reached(adapted))

    def count(names: set[str]) -> int:
        return sum(sizes[name] for name in names & sizes.keys())

    return Coverage(
        weights=count(set(sizes)),
        embeddings=count(set(_embeddings(model))),
        quantised=count(quantised),
        adapted=count(reached),
        experts=count(of_experts),
        adapted_experts=count(of_experts & reached),
        adapter=sum(one.numel() for name, one in adapted.named_parameters() if ".lora_" in name),
    )


def quantised_names(model: PreTrainedModel, left_out: Sequence[str]) -> Iterator[str]:
    """Names of the weights that transformers hands to bitsandbytes (transformers' integrations/bitsandbytes.py)."""
    import torch
    from transformers.pytorch_utils import Conv1D
    from transformers.quantizers.base import HfQuantizer
    from transformers.quantizers.quantizers_utils import should_convert_module

    single = list(model._keep_in_fp32_modules or ())
    kept = HfQuantizer.get_modules_to_not_convert(model, list(left_out) or None, single)
    for name, module in model.named_modules():
        plain = isinstance(module, Conv1D) or type(module) is torch.nn.Linear
        if plain and should_convert_module(name, kept):
            yield f"{name}.weight"


def _embeddings(model: PreTrainedModel) -> Iterator[str]:
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    for name, module in model.named_modules():
        if any(module is end for end in ends):
            yield f"{name}.weight"


def _of_experts(model: torch.nn.Module, parameter: str) -> bool:
    """Whether a parameter belongs to experts, by the name or the class of a module that holds it."""
    return any(
        experts.is_experts(name, type(model.get_submodule(name)).__name__) for name in experts.holders(parameter)
    )


def _reached(adapted: PeftModel) -> Iterator[str]:
    """The base's names of the weights that the adapter changes."""
    from peft.tuners.lora.layer import LoraLayer, ParamWrapper

    for name, module in base_of(adapted).named_modules():
        if isinstance(module, ParamWrapper):
            yield f"{name.replace('.base_layer', '')}.{module.parameter_name}"
        elif isinstance(module, LoraLayer):
            yield f"{name}.weight"


def log_shares(arguments: TrainArguments, found: Coverage) -> None:
    """Tell the shares; a warning where less than half of what is neither embeddings nor LM head becomes 4-bit."""
    for sentence in found.sentences(arguments):
        log.info("%s", sentence)
    inside = found.weights - found.embeddings
    if arguments.load_in_4bit and found.quantised < inside / 2:
        log.warning(
            "load_in_4bit: %.0f%% of the weights beside embeddings and LM head become 4-bit: experts that are one "
            "tensor, and other layers that are no plain linear ones, stay in %s",
            100 * found.quantised / inside, arguments.compute_kind,
        )  # fmt: skip
