"""An adapter's configuration: peft's settings that say how to merge, and the refusal of those that are not supported.

Settings are an allow-list: what is neither read here, nor known to leave the merge alone, nor switched off is refused
by its name, so that a feature of a later peft is never dropped in silence.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps.shared import contract
from steps.shared.contract import StepError

INSTEAD = "register the adapter without merging, or merge with peft's merge_and_unload"

# Settings that say where the matrices sit, how they were trained or how they began: they do not change how to merge.
# The *_config ones belong to ways of initialising, and those that alter the base are refused below.
HARMLESS = frozenset({
    "auto_mapping", "base_model_name_or_path", "corda_config", "ensure_weight_tying", "eva_config", "exclude_modules",
    "inference_mode", "layers_pattern", "layers_to_transform", "lora_dropout", "lora_ga_config", "megatron_core",
    "peft_type", "peft_version", "qalora_group_size", "revision", "target_modules", "task_type",
})  # fmt: skip
READ = frozenset({
    "alpha_pattern", "bias", "fan_in_fan_out", "lora_alpha", "lora_bias", "modules_to_save", "r", "rank_pattern",
    "target_parameters", "use_dora", "use_rslora",
})  # fmt: skip
# The others (pissa, olora, corda, loftq, …) train against an altered base: merging into the original would be wrong.
PLAIN_STARTS = (None, True, False, "gaussian", "orthogonal", "eva")


@dataclass(frozen=True)
class Settings:
    """What an adapter_config.json says about merging."""

    path: Path
    values: dict[str, Any]

    @property
    def dora(self) -> bool:
        return bool(self.values.get("use_dora"))

    @property
    def fan_in_fan_out(self) -> bool:
        return bool(self.values.get("fan_in_fan_out"))

    @property
    def trained_on(self) -> str | None:
        """The base as the config names it."""
        return self.values.get("base_model_name_or_path")

    @property
    def modules_to_save(self) -> list[str]:
        return self.values.get("modules_to_save") or []

    def targeted_parameters(self, module: str) -> list[str]:
        """The names of a module's own parameters that LoRA was put on by `target_parameters`, as peft matches them."""
        found = []
        for target in self.values.get("target_parameters") or []:
            owner, _, parameter = target.rpartition(".")
            if parameter not in found and (owner in ("", module) or module.endswith(f".{owner}")):
                found.append(parameter)
        return found

    @property
    def bare_parameters(self) -> frozenset[str]:
        """Those of `target_parameters` that stand without a module, as peft writes them for mixtures of experts."""
        return frozenset(name for name in self.values.get("target_parameters") or [] if "." not in name)

    def scale(self, key: str, rank: int) -> float:
        """peft's factor for a module (or `module.parameter`) whose matrices have this rank.

        Raises:
            StepError: the config says another rank, and the factor would be wrong.
        """
        r = self._value("r", "rank_pattern", key)
        if r != rank:
            raise StepError(
                f"{self.path}: says rank {r} for {key}, its matrices in adapter_model.safetensors have {rank}; "
                "the two files are not of one adapter: copy both again"
            )
        alpha = self._value("lora_alpha", "alpha_pattern", key)
        return alpha / math.sqrt(r) if self.values.get("use_rslora") else alpha / r

    def _value(self, default: str, pattern: str, key: str) -> Any:
        """A module's value: of the first pattern that matches the end of its name, as peft reads them."""
        for expression, value in (self.values.get(pattern) or {}).items():
            if re.match(rf"(.*\.)?({expression})$", key):
                return value
        return self.values[default]


def read_settings(path: Path) -> Settings:
    """Read and check an adapter_config.json.

    Raises:
        StepError: it is not one, or asks for something that the merge does not support.
    """
    config = contract.read_json(path, "the adapter's configuration")
    if not isinstance(config, dict):
        raise StepError(f"{path}: must be a JSON object with peft's settings")
    if config.get("peft_type") != "LORA":
        raise StepError(f"{path}: peft_type {config.get('peft_type')} is not supported, only LORA; {INSTEAD}")
    refused = [key for key, value in config.items() if not _is_known(key, value)]
    if refused:
        named = ", ".join(f"{key} {json.dumps(config[key])}" for key in sorted(refused))
        raise StepError(f"{path}: not supported by the merge: {named}; {INSTEAD}")
    patterns = [config.get(key) or {} for key in ("rank_pattern", "alpha_pattern")]
    if not all(isinstance(pattern, dict) for pattern in patterns):
        raise StepError(f"{path}: rank_pattern and alpha_pattern must be objects; save the adapter again with peft")
    numbers = [config.get("r"), config.get("lora_alpha"), *patterns[0].values(), *patterns[1].values()]
    if not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers):
        raise StepError(f"{path}: r, lora_alpha and their patterns must be numbers; save the adapter again with peft")
    for key in ("modules_to_save", "target_parameters"):
        names = config.get(key) or []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise StepError(f"{path}: {key} must be a list of names; save the adapter again with peft")
    return Settings(path, config)


def _is_known(key: str, value: Any) -> bool:
    """Whether the merge does what a setting asks for."""
    if key == "init_lora_weights":
        return value in PLAIN_STARTS
    return not value or key in HARMLESS | READ
