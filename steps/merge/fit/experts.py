"""LoRA on parameters (peft's target_parameters), above all on experts, which a model holds as one tensor.

Such a pair of matrices holds those of all experts. peft nests the wrappers of a module's parameters without saying
which is which; their shapes do. A checkpoint may hold the experts one by one, and gate and up apart (transformers fuses
them as it loads): each of its tensors then gets its share. An adapter of an older peft names experts one by one, as
layers; peft fuses those as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import permutations

from steps.merge.fit.adapter import Adapter, Lora
from steps.merge.fit.base import Base
from steps.merge.fit.tensor_changes import Product, another_base, refusal

# Where a checkpoint holds experts one by one: per parameter the tensors that are its rows (transformers'
# conversion_mapping.py: Qwen-MoE, OLMoE, DeepSeek, …; Mixtral, MiniMax).
SPLIT = (
    {"gate_up_proj": ("gate_proj", "up_proj"), "down_proj": ("down_proj",)},
    {"gate_up_proj": ("w1", "w3"), "down_proj": ("w2",)},
)
ONE_EXPERT = re.compile(r".+\.(mlp|block_sparse_moe)\.experts\.\d+\.(gate_proj|up_proj|down_proj|w[123])")


def place(
    base: Base, adapter: Adapter, module: str, loras: list[Lora], parameters: list[str]
) -> Iterator[tuple[str, Product]]:
    """The base's tensors that LoRA on a module's parameters changes.

    Raises:
        StepError: they are not in the base, do not fit, or fit in more than one way.
    """
    targets = [target for name in parameters if (target := _find(base, module, name))]
    if len(targets) < len(loras):
        what = f"{module}: {len(loras)} of its parameters are adapted, {len(targets)} of target_parameters are there"
        raise another_base(adapter, base, what)
    fitting = [
        order
        for order in permutations(targets, len(loras))
        if all(target.orientations(lora) for target, lora in zip(order, loras, strict=True))
    ]
    if not fitting:
        raise another_base(adapter, base, f"{module}: its target_parameters have other shapes than the adapter fits")
    pairs = list(zip(fitting[0], loras, strict=True))
    # Whether a module stores its parameters as [inputs, outputs] is one for all of them; a square one does not tell.
    possible = set.intersection(*(target.orientations(lora) for target, lora in pairs))
    if len(fitting) > 1 or len(possible) != 1:
        raise refusal(adapter, f"target_parameters of {module}, whose shapes do not tell how they are stored")
    for target, lora in pairs:
        if lora.magnitude or lora.bias:
            raise refusal(adapter, f"use_dora or lora_bias for a parameter, {module}.{target.parameter}")
        scale = adapter.settings.scale(f"{module}.{target.parameter}", lora.rank // target.experts)
        yield from target.products(lora, scale, transposed=possible == {True})


class _Target:
    """A parameter in the base: one tensor, or a group of them for each expert."""

    def __init__(self, parameter: str, experts: int, shape: tuple[int, int], names: list[list[str]]) -> None:
        self.parameter, self.experts, self.shape = parameter, experts, shape
        self.names = names  # a list for each expert; one list of one name where a single tensor holds all

    def orientations(self, lora: Lora) -> set[bool]:
        """The values of `transposed` with which LoRA matrices fit."""
        if lora.rank % self.experts:
            return set()
        fits = {False} if self.shape == (lora.outputs, lora.inputs) else set()
        stacked = self.experts > 1 and len(self.names) == 1
        return fits | ({True} if stacked and self.shape == (lora.inputs, lora.outputs) else set())

    def products(self, lora: Lora, scale: float, transposed: bool) -> Iterator[tuple[str, Product]]:
        for expert, names in enumerate(self.names):
            rows = lora.outputs // len(names)
            for place, name in enumerate(names):
                share = (place * rows, (place + 1) * rows)
                which = expert if len(self.names) > 1 else None
                yield name, Product(lora.a, lora.b, scale, transposed, self.experts, which, share, rounded=True)


def _find(base: Base, module: str, parameter: str) -> _Target | None:
    stored = base.tensors.get(f"{module}.{parameter}")
    if stored and len(stored.shape) in (2, 3):
        experts = stored.shape[0] if len(stored.shape) == 3 else 1
        rows, columns = stored.shape[-2:]
        return _Target(parameter, experts, (rows, columns), [[f"{module}.{parameter}"]])
    for parts in SPLIT:
        if not module.endswith(".experts") or parameter not in parts:
            continue
        names: list[list[str]] = []
        while f"{module}.{len(names)}.{parts[parameter][0]}.weight" in base.tensors:
            names.append([f"{module}.{len(names)}.{part}.weight" for part in parts[parameter]])
        tensors = [name for group in names for name in group]
        shapes = {base.tensors[name].shape for name in tensors if name in base.tensors}
        if len(names) > 1 and len(shapes) == 1 and all(name in base.tensors for name in tensors):
            rows, columns = shapes.pop()
            return _Target(parameter, len(names), (rows * len(names[0]), columns), names)
    return None
