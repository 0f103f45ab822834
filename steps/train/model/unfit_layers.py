"""Linear layers of a model that take no adapter, or no 4-bit weight, found from the model's classes and their code."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def read_directly(model: torch.nn.Module) -> Iterator[str]:
    """Linear layers whose weight the code of the module around them reads, as Mamba's fast path does: an adapter on one
    would have no effect there, and a weight in NF4 has another shape."""
    import torch

    sources: dict[type, str] = {}
    for name, module in model.named_modules():
        kind = type(module)
        for child, layer in module.named_children():
            if not isinstance(layer, torch.nn.Linear):
                continue
            if kind not in sources:
                sources[kind] = _source(kind)
            # Its dtype or device are no values; a split product (Bloom's, old Llama's) is for pretraining_tp alone.
            if re.search(rf"\bself\.{child}\.weight(?!\.(dtype|device|shape|split\()|\[|\w)", sources[kind]):
                yield f"{name}.{child}".lstrip(".")


def _source(kind: type) -> str:
    """A module's class as text, with those of models that it is derived from; not torch's, or what all models share."""
    shared = ("torch.", "transformers.", "builtins")
    own = [
        one
        for one in kind.__mro__
        if one.__module__.startswith("transformers.models.") or not one.__module__.startswith(shared)
    ]
    texts = []
    for one in own:
        try:
            texts.append(inspect.getsource(one))
        except (OSError, TypeError):  # made while the program runs: nothing to read
            continue
    return re.sub(r"\binit\.\w+\(.*", "", "\n".join(texts))  # to begin with values is not to read them


def not_linear(model: torch.nn.Module) -> Iterator[str]:
    """Layers of a class derived from Linear that answer with more than its product, as PhiMoE's router does."""
    import torch

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and type(module) is not torch.nn.Linear:
            values = torch.empty(2, 2, module.in_features, device="meta", dtype=module.weight.dtype)
            try:
                with torch.no_grad():
                    fits = getattr(module(values), "shape", None) == (2, 2, module.out_features)
            except (RuntimeError, TypeError, ValueError, AttributeError, IndexError):
                fits = False
            if not fits:
                yield name
