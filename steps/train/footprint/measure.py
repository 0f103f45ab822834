"""Measure a model's blocks on their own code: forward and backward over tensors that have shapes and no memory.

The skeleton with the adapter on (`model.lora`) becomes one of torch's fake tensors, on which every operation gives the
shape of its result. Each kind of block is passed at three lengths, which tell what grows with tokens and what with
their square. In 4 bits a block's weight is dequantised while it is multiplied: that is added, the rest is the same.

Limits: code that decides by a tensor's values (routing that leaves idle experts out) cannot run so, which is said. What
a family computes by torch's operations where a GPU has kernels of another package is counted as torch does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from steps.shared import contract
from steps.train.arguments import TrainArguments
from steps.train.footprint.passes import SEQUENCES, kind_of, passes
from steps.train.footprint.sizes import NOTHING, Footprint, Growth
from steps.train.model.adapter import base_of
from steps.train.model.coverage import quantised_names
from steps.train.model.load import compute_dtype
from steps.train.model.lora import Trial

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LENGTHS = (256, 512, 1024)  # multiples of the chunks in which linear attention goes through a sequence


class CannotMeasure(Exception):
    """Why a model's code does not run without values."""


def measure(arguments: TrainArguments, trial: Trial) -> Footprint:
    """
    Args:
        trial: the skeleton with the recipe's adapter, counted as for load_in_4bit.

    Raises:
        CannotMeasure: the model's blocks are not found, or their code does not run without values.
    """
    try:
        return _measured(trial, compute_dtype(arguments))
    except CannotMeasure:
        raise
    except Exception as error:  # of any class: it is another library's code, in a way that it was not written for
        raise CannotMeasure(f"its code does not run without weights: {contract.first_line(error)}") from None


def _measured(trial: Trial, dtype: torch.dtype) -> Footprint:
    blocks = list(base_of(trial.adapted).get_submodule(_blocks_at(trial.model)).children())
    counts = _weights(trial)  # before the skeleton's tensors are replaced
    found_at = [passes(trial.adapted, blocks, length, dtype) for length in LENGTHS]
    kinds = [kind_of(block) for block in blocks]
    if missing := [kind for kind in kinds if any(kind not in found for found in found_at)]:
        raise CannotMeasure(f"its code passes over blocks: {missing[0].partition(' ')[0]}")
    grown = {kind: [_growth([found[kind][part] for found in found_at]) for part in range(3)] for kind in set(kinds)}
    kept, forward, backward = ([grown[kind][part] for kind in kinds] for part in range(3))
    return replace(
        counts, kept=sum(kept, NOTHING), kept_block=_most(kept), forward=_most(forward), backward=_most(backward)
    )


def _most(parts: Sequence[Growth]) -> Growth:
    found = NOTHING
    for part in parts:
        found = found.at_least(part)
    return found


def _weights(trial: Trial) -> Footprint:
    """The counts; the passes are not measured yet."""
    model, coverage = trial.model, trial.fitted.coverage
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    small = set(quantised_names(model, trial.fitted.unquantised)) & sizes.keys()
    at = _blocks_at(model)
    adapters = {name: one.numel() for name, one in base_of(trial.adapted).named_parameters() if ".lora_" in name}
    names = [f"{at}.{name}." for name, _ in model.get_submodule(at).named_children()]
    inside = [_inside(names, sizes), _inside(names, {name: sizes[name] for name in small}), _inside(names, adapters)]
    largest = max(range(len(names)), key=lambda number: inside[0][number])
    embeddings, head = model.get_input_embeddings(), model.get_output_embeddings()
    weight = getattr(embeddings, "weight", None)
    return Footprint(
        layers=len(names),
        hidden=_width(model),
        embedding=0 if weight is None else weight.numel(),
        tied=head is None or head.weight is weight,
        linear=sum(sizes[name] for name in small),
        other=coverage.weights - sum(sizes[name] for name in small),
        block_linear=inside[1][largest],
        block_other=inside[0][largest] - inside[1][largest],
        largest_linear=max((sizes[name] for name in small), default=0),
        adapter=coverage.adapter,
        block_adapter=max(inside[2]),
        kept=NOTHING,
        kept_block=NOTHING,
        backward=NOTHING,
        forward=NOTHING,
    )


def _width(model: PreTrainedModel) -> int:
    """Elements of a token's hidden state."""
    text = model.config.get_text_config()
    found = getattr(text, "hidden_size", None)  # a few configurations name it otherwise
    return int(found or next(model.get_input_embeddings().parameters()).shape[-1])


def _inside(blocks: Sequence[str], sizes: dict[str, int]) -> list[int]:
    return [sum(size for name, size in sizes.items() if name.startswith(block)) for block in blocks]


def _blocks_at(model: PreTrainedModel) -> str:
    """The name of the decoder's blocks: of its lists of modules the one with most weights.

    Raises:
        CannotMeasure: it has none.
    """
    decoder = model.get_decoder()
    inside = {id(module) for module in decoder.modules()}
    lists = {
        name: sum(parameter.numel() for parameter in module.parameters())
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and id(module) in inside
    }
    if not lists:
        raise CannotMeasure("its decoder has no list of blocks")
    return max(lists, key=lambda name: lists[name])


def _growth(sizes: Sequence[int]) -> Growth:
    """The constant, linear and quadratic part of three sizes, at lengths of which each is twice the one before."""
    first, second, third = sizes
    length = LENGTHS[0]
    square = (third - 3 * second + 2 * first) / (6 * length**2)
    linear = (second - first) / length - 3 * length * square
    constant = first - linear * length - square * length**2
    return Growth(max(constant, 0.0), max(linear, 0.0) / SEQUENCES, max(square, 0.0) / SEQUENCES)
