"""What an adapter_config.json says beyond plain LoRA: one allow-list for all that read adapters.

Plain LoRA is the original weight and `B @ A`, times one factor. A setting is known to leave that alone, or is one of
those that its reader understands, or is switched off; anything else is named, so that a feature of a later peft is
never passed over in silence.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

# Settings that say where the matrices sit, how they were trained or how they began. The *_config ones belong to ways of
# initialising, and those that alter the base are told by init_lora_weights.
NEUTRAL = frozenset({
    "auto_mapping", "base_model_name_or_path", "corda_config", "ensure_weight_tying", "eva_config", "exclude_modules",
    "inference_mode", "layers_pattern", "layers_to_transform", "lora_dropout", "lora_ga_config", "megatron_core",
    "peft_type", "peft_version", "qalora_group_size", "revision", "target_modules", "target_parameters", "task_type",
})  # fmt: skip
# Rank and factor; and how the class of a layer stores its weight, which a loaded model tells by itself.
PLAIN = frozenset({"fan_in_fan_out", "lora_alpha", "r", "use_rslora"})
# The others (pissa, olora, corda, loftq, …) train against an altered base: with the original one it is another model.
PLAIN_STARTS = (None, True, False, "gaussian", "orthogonal", "eva")
PATTERN_SHOWN = 60  # characters of a pattern in a message
CONVERT = (
    "its matrices belong to an altered base; of PiSSA, OLoRA and CorDA peft's "
    "save_pretrained(path_initial_model_for_weight_conversion=…) makes a plain adapter"
)


def beyond_plain(config: Mapping[str, Any], understood: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The settings, by name in order, under which the adapter is more than plain LoRA, without those `understood`."""
    return {key: config[key] for key in sorted(config) if key not in understood and not _is_plain(key, config[key])}


def _is_plain(key: str, value: Any) -> bool:
    if key == "init_lora_weights":
        return value in PLAIN_STARTS
    if key == "bias":
        return value in (None, "none")
    return not value or key in NEUTRAL | PLAIN


def named(settings: Mapping[str, Any]) -> str:
    """Settings with their values, as one reads them in the file."""
    return ", ".join(f"{key} {json.dumps(value)}" for key, value in settings.items())


def malformed(config: Mapping[str, Any]) -> str | None:
    """What of the settings read here is not of its type; None where all are."""
    patterns = [config.get(key) or {} for key in ("rank_pattern", "alpha_pattern")]
    if not all(isinstance(pattern, dict) for pattern in patterns):
        return "rank_pattern and alpha_pattern must be objects"
    ranks, alphas = [config.get("r"), *patterns[0].values()], [config.get("lora_alpha"), *patterns[1].values()]
    if not all(isinstance(number, int | float) and math.isfinite(number) for number in (*ranks, *alphas)):
        return "r, lora_alpha and their patterns must be numbers"
    if min(ranks) <= 0:
        return "r and the ranks of rank_pattern must be above 0"
    for key in ("modules_to_save", "target_parameters"):
        names = config.get(key) or []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return f"{key} must be a list of names"
    return _wrong_names(config)


def _wrong_names(config: Mapping[str, Any]) -> str | None:
    """What of the settings that name modules is neither names nor a pattern that Python's `re` takes."""
    for key in ("target_modules", "exclude_modules"):
        names = config.get(key) or []
        if isinstance(names, str):
            if fault := _fault(names):
                return f"{key} {names[:PATTERN_SHOWN]!r} is no regular expression ({fault})"
        elif not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return f"{key} must be a list of names, or one text"
    for key in ("rank_pattern", "alpha_pattern"):
        for pattern in config.get(key) or {}:
            if fault := _fault(pattern):
                return f"{key}: {pattern[:PATTERN_SHOWN]!r} is no regular expression ({fault})"
    return None


def _fault(pattern: str) -> str | None:
    """Why a text is no pattern; None where it is one."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return str(error)
    return None
