"""Whether the loaded weights are the whole model: a tensor that no file holds would start as random numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from steps.shared import whole_names
from steps.shared.contract import StepError
from steps.shared.whole_names import deepest

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig

AGAIN = "copy or download the model again, or save it again with save_pretrained"


def require_whole(name: str, config: PreTrainedConfig, info: Mapping[str, Any]) -> None:
    """
    Args:
        info: what transformers tells of a loading: missing, unexpected and mismatched keys.

    Raises:
        StepError: tensors of the model are not in its files; the cause is named where the names tell it.
    """
    if info["mismatched_keys"]:
        key, stored, wanted = sorted(info["mismatched_keys"])[0]
        count, sizes = len(info["mismatched_keys"]), f"{list(stored)} in the files, {list(wanted)} by config.json"
        raise StepError(
            f"{name}: its weights and its config.json do not fit: {count} tensors have other sizes, first {key}: "
            f"{sizes}; correct config.json (vocab_size after a resize of the embeddings), or {AGAIN}"
        )
    missing, unexpected = sorted(info["missing_keys"]), sorted(info["unexpected_keys"])
    layers = getattr(config.get_text_config(), "num_hidden_layers", None)
    too_many = layers is not None and deepest(unexpected) > layers + 1  # one more may predict a second token
    if not missing and not too_many:
        return
    reason, fix = _cause(missing, unexpected, layers)
    lacks = f"{len(missing)} tensors are missing, first {missing[0]}" if missing else "no tensor is missing"
    more = f"; {len(unexpected)} are not of this model, first {unexpected[0]}" if unexpected else ""
    raise StepError(f"{name}: its weights and its config.json do not fit: {lacks}{more}{reason}; {fix}")


def _cause(missing: list[str], unexpected: list[str], layers: int | None) -> tuple[str, str]:
    if by := whole_names.wrapper(unexpected):
        return f" (written by {by})", whole_names.UNWRAP
    if layers is not None and deepest(unexpected) > layers:
        return f" ({whole_names.too_many_layers(layers, deepest(unexpected))})", whole_names.FEWER_LAYERS
    lacking = whole_names.layers(missing)
    if layers is not None and lacking and not unexpected:
        return f" (of {len(lacking)} of {layers} layers)", AGAIN
    return "", AGAIN


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
