"""An adapter's configuration: peft's settings that say how to merge, and the refusal of those that are not supported.

What else a configuration may hold is an allow-list that all readers of adapters share (steps/shared/lora_settings.py).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps.shared import contract
from steps.shared.contract import StepError
from steps.shared.lora_settings import CONVERT, PATTERN_SHOWN, beyond_plain, malformed, named
from steps.shared.templates.limits import TooLong, time_limit

SECONDS = 5.0  # of the processor; a usual pattern takes milliseconds
INSTEAD = "register the adapter without merging, or merge with peft's merge_and_unload"

# Beyond plain LoRA, what the merge understands.
UNDERSTOOD = frozenset({"alpha_pattern", "bias", "lora_bias", "modules_to_save", "rank_pattern", "use_dora"})


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


def require_quick(settings: Settings, modules: Iterable[str]) -> None:
    """Match the patterns as peft does, and the merge: some take longer than anybody waits, on some names.

    Args:
        modules: the names of the base's modules.

    Raises:
        StepError: a pattern takes more than `SECONDS` of the processor for all of them.
    """
    names = sorted(modules)
    for key, pattern, expression in _patterns(settings.values):
        matches = re.compile(expression).match
        try:
            with time_limit(SECONDS):
                for name in names:
                    matches(name)
        except TooLong:
            raise StepError(
                f"{settings.path}: {key} {pattern[:PATTERN_SHOWN]!r}: matching it with the names of the base's modules "
                f"takes more than {SECONDS:g} s; write it without a repetition inside a repetition, or name the modules"
            ) from None


def _patterns(config: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Setting, pattern, and what is made of it."""
    for key in ("target_modules", "exclude_modules"):
        if isinstance(config.get(key), str):
            yield key, config[key], rf"(?:{config[key]})\Z"
    for key in ("rank_pattern", "alpha_pattern"):
        for pattern in config.get(key) or {}:
            yield key, pattern, rf"(.*\.)?({pattern})$"


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
    if refused := beyond_plain(config, UNDERSTOOD):
        fix = f"{CONVERT}, or {INSTEAD}" if "init_lora_weights" in refused else INSTEAD
        raise StepError(f"{path}: not supported by the merge: {named(refused)}; {fix}")
    if wrong := malformed(config):
        raise StepError(f"{path}: {wrong}; save the adapter again with peft")
    return Settings(path, config)
