"""Whether the loaded weights are numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def first_broken(model: torch.nn.Module) -> str | None:
    """The base's name of the first weight that holds NaN or infinity; None where all are finite. A 4-bit weight that is
    sharded cannot be asked by itself, and is passed over."""
    for name, module in model.named_modules():
        for own, parameter in module.named_parameters(recurse=False):
            if parameter.is_floating_point() and not _finite(module, own, parameter):
                return f"{name}.{own}".removeprefix("base_model.model.").replace(".base_layer", "")
    return None


def _finite(module: torch.nn.Module, name: str, parameter: torch.nn.Parameter) -> bool:
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit

    if not (isinstance(module, Linear4bit) and name == "weight"):
        return bool(parameter.isfinite().all())
    state = getattr(parameter, "quant_state", None)  # the packed bits are no numbers
    return state is None or bool(dequantize_4bit(parameter.data, state).isfinite().all())
