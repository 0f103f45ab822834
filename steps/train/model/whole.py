"""Whether the loaded weights are the whole model: a tensor that no file holds would start as random numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from steps.shared.contract import StepError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig

# What wrappers write before every name, and the wrapper.
PREFIXES = {
    "_orig_mod.": "torch.compile",
    "_fsdp_wrapped_module.": "FSDP",
    "module.": "DistributedDataParallel",
    "base_model.model.": "peft: this is an adapted model",
}
LAYER = re.compile(r"\.(?:layers|h|blocks)\.(\d+)\.")
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
    too_many = layers is not None and _layers(unexpected) > layers + 1  # one more may predict a second token
    if not missing and not too_many:
        return
    reason, fix = _cause(missing, unexpected, layers)
    lacks = f"{len(missing)} tensors are missing, first {missing[0]}" if missing else "no tensor is missing"
    more = f"; {len(unexpected)} are not of this model, first {unexpected[0]}" if unexpected else ""
    raise StepError(f"{name}: its weights and its config.json do not fit: {lacks}{more}{reason}; {fix}")


def _cause(missing: list[str], unexpected: list[str], layers: int | None) -> tuple[str, str]:
    for prefix, wrapper in PREFIXES.items():
        if unexpected and all(prefix in key for key in unexpected):
            return f" (written by {wrapper})", "save the model inside the wrapper with save_pretrained"
    if layers is not None and _layers(unexpected) > layers:
        return (
            f" (config.json says {layers} layers, the files have {_layers(unexpected)})",
            "correct num_hidden_layers, or take the config.json that belongs to the weights",
        )
    lacking = {int(match[1]) for key in missing if (match := LAYER.search(key))}
    if layers is not None and lacking and not unexpected:
        return f" (of {len(lacking)} of {layers} layers)", AGAIN
    return "", AGAIN


def _layers(keys: Iterable[str]) -> int:
    """The number of layers up to the highest that is named."""
    return max((int(match[1]) + 1 for key in keys if (match := LAYER.search(key))), default=0)


def first_broken(model: torch.nn.Module) -> str | None:
    """The name of the first parameter that holds NaN or infinity; None where all are finite."""
    return next(
        (
            name
            for name, parameter in model.named_parameters()
            if parameter.is_floating_point() and not bool(parameter.isfinite().all())
        ),
        None,
    )
