"""Why a model's files are not the whole model, from the names of its tensors and its configuration alone."""

from __future__ import annotations

import re
from collections.abc import Iterable

# What wrappers write before every name, and the wrapper.
PREFIXES = {
    "_orig_mod.": "torch.compile",
    "_fsdp_wrapped_module.": "FSDP",
    "module.": "DistributedDataParallel",
    "base_model.model.": "peft: this is an adapted model",
}
UNWRAP = "save the model inside the wrapper with save_pretrained"
FEWER_LAYERS = "correct num_hidden_layers, or take the config.json that belongs to the weights"
LAYER = re.compile(r"\.(?:layers|h|blocks)\.(\d+)\.")


def wrapper(names: Iterable[str]) -> str | None:
    """What wrote the tensors, where all their names say that it was around the model; None otherwise."""
    found = list(names)
    return next((by for prefix, by in PREFIXES.items() if found and all(prefix in name for name in found)), None)


def layers(names: Iterable[str]) -> set[int]:
    """The numbers of the layers that are named."""
    return {int(match[1]) for name in names if (match := LAYER.search(name))}


def several_stacks(names: Iterable[str]) -> bool:
    """Whether there is more than one list of layers, as an encoder's and a decoder's."""
    return len({name[: match.start()] for name in names if (match := LAYER.search(name))}) > 1


def deepest(names: Iterable[str]) -> int:
    """The number of layers up to the highest that is named."""
    return max(layers(names), default=-1) + 1


def too_many_layers(wanted: int, found: int) -> str:
    """Files with more layers than the configuration knows."""
    return f"config.json says {wanted} layers, the files have {found}"


def too_many_tokens(tokens: int, rows: int, which: str) -> str:
    """A tokenizer that knows tokens for which the model has no embedding; `which` says where one of them occurs."""
    return (
        f"the tokenizer has {tokens} tokens, the model's embedding {rows} rows: {which}; use the tokenizer that came "
        "with the model, or resize the embeddings (resize_token_embeddings) and save the model again"
    )
