"""Why a model's files are not the whole model, from the names of its tensors and its configuration alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from typing import TYPE_CHECKING, Any

from steps.shared.contract import StepError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

# What wrappers write before every name, and the wrapper.
PREFIXES = {
    "_orig_mod.": "torch.compile",
    "_fsdp_wrapped_module.": "FSDP",
    "module.": "DistributedDataParallel",
    "base_model.model.": "peft: this is an adapted model",
}
UNWRAP = "save the model inside the wrapper with save_pretrained"
FEWER_LAYERS = "correct num_hidden_layers, or take the config.json that belongs to the weights"
AGAIN = "copy or download the model again, or save it again with save_pretrained"
# What checkpoints hold that was never a weight, and no model reads: buffers of older versions, and the scales of a
# server's 8-bit cache of keys and values.
OLD_BUFFERS = re.compile(
    r"(^|\.)(masked_bias|attn\.bias|attention\.bias|(original_)?inv_freq|position_ids|causal_mask|attn\.embed_positions"
    r"|scale_attn|version|_float_tensor|(cos|sin)_cached|[kv]_scale)$"
)
EXPERT = re.compile(r"(?P<layer>.+\.experts)\.(?P<number>\d{1,5})\.(?P<part>.+)")
NUMBERED = re.compile(r"\.\d+(\.|$)")
LAYER = re.compile(r"\.(?:layers|h|blocks)\.(\d+)\.")


def wrapper(names: Iterable[str]) -> str | None:
    """What wrote the tensors, where all their names say that it was around the model; None otherwise."""
    found = list(names)
    return next((by for prefix, by in PREFIXES.items() if found and all(prefix in name for name in found)), None)


def layers(names: Iterable[str]) -> set[int]:
    """The numbers of the layers that are named."""
    return {int(match[1]) for name in names if (match := LAYER.search(name))}


def incomplete_experts(names: Iterable[str]) -> list[str]:
    """Names that are missing where experts are stored one by one: each has what another of its layer has."""
    groups: dict[str, tuple[set[int], set[str]]] = {}
    present = set(names)
    for match in filter(None, map(EXPERT.fullmatch, present)):
        numbers, parts = groups.setdefault(match["layer"], (set(), set()))
        numbers.add(int(match["number"]))
        parts.add(match["part"])
    wanted = (
        f"{layer}.{number}.{part}"
        for layer, (numbers, parts) in groups.items()
        for number in range(max(numbers) + 1)
        for part in parts
    )
    return sorted(name for name in wanted if name not in present)


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


def require_whole(name: str, model: PreTrainedModel, info: Mapping[str, Any]) -> None:
    """Refuse a base whose files are not the model that its configuration describes: a tensor that no file holds would
    start as random numbers, and one that the model does not read would be left out of what it computes.

    Tensors of whole modules beside the model's own (a head that predicts further tokens, a tower of pictures) stay
    unread without harm, and are no reason.

    Args:
        model: as it was loaded, or on the meta device; only the names of its modules are looked at.
        info: what transformers tells of a loading: missing, unexpected and mismatched keys.

    Raises:
        StepError: names the first of the tensors, and the cause where the names tell it.
    """
    if info["mismatched_keys"]:
        key, stored, wanted = sorted(info["mismatched_keys"])[0]
        count, sizes = len(info["mismatched_keys"]), f"{list(stored)} in the files, {list(wanted)} by config.json"
        raise StepError(
            f"{name}: its weights and its config.json do not fit: {count} tensors have other sizes, first {key}: "
            f"{sizes}; correct config.json (vocab_size after a resize of the embeddings), or {AGAIN}"
        )
    missing, unexpected = sorted(info["missing_keys"]), sorted(info["unexpected_keys"])
    known = _layers_of(model.config)
    too_many = known is not None and deepest(unexpected) > known + 1  # one more may predict a second token
    left_out = _left_out(unexpected, {module for module, _ in model.named_modules()})
    if not (missing or too_many or left_out):
        return
    reason, fix = _cause(missing, unexpected, known, left_out)
    lacks = f"{len(missing)} tensors are missing, first {missing[0]}" if missing else "no tensor is missing"
    strange = unexpected if missing or too_many else left_out
    more = f"; {len(strange)} are not of this model, first {strange[0]}" if strange else ""
    raise StepError(f"{name}: its weights and its config.json do not fit: {lacks}{more}{reason}; {fix}")


def _layers_of(config: PreTrainedConfig) -> int | None:
    return getattr(config.get_text_config(), "num_hidden_layers", None)


def _left_out(unexpected: Iterable[str], modules: Set[str]) -> list[str]:
    """Tensors that stand in a module of the model, or in one of its layers, which computes without them."""
    return [name for name in unexpected if not OLD_BUFFERS.search(name) and _computes(name, modules)]


def _computes(name: str, modules: Set[str]) -> bool:
    """Whether the module that a tensor's name says, or the layer that this would stand in, is one of the model's."""
    owner = holder = name.rpartition(".")[0]
    while holder and holder not in modules:
        holder = holder.rpartition(".")[0]
    return bool(holder) and (owner == holder or NUMBERED.search(holder) is not None)


def _cause(missing: list[str], unexpected: list[str], count: int | None, left_out: list[str]) -> tuple[str, str]:
    if by := wrapper(unexpected):
        return f" (written by {by})", UNWRAP
    if count is not None and deepest(unexpected) > count:
        return f" ({too_many_layers(count, deepest(unexpected))})", FEWER_LAYERS
    lacking = layers(missing)
    if count is not None and lacking and not unexpected:
        return f" (of {len(lacking)} of {count} layers)", AGAIN
    if left_out and not missing:
        return " (the model would compute without them)", f"take the config.json of these weights, or {AGAIN}"
    return "", AGAIN
