"""Read and check an adapter: which weights it changes, and by how much.

Supported are LoRA and rsLoRA on linear layers, with rank_pattern and alpha_pattern. Settings are an allow-list: what
is neither known to leave the merge alone nor switched off is refused by its name, so that a feature of a later peft is
never dropped in silence.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps import contract
from steps.contract import StepError
from steps.merge.weights import Stored, read_header

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
FLOATS = ("BF16", "F16", "F32")
TENSOR = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])\.weight")
INSTEAD = "register the adapter without merging, or merge with peft's merge_and_unload"

# Settings that say where the matrices sit, how they were trained or how they began: they do not change how to merge.
# The *_config ones belong to ways of initialising, and those that alter the base are refused below.
HARMLESS = frozenset({
    "auto_mapping", "base_model_name_or_path", "corda_config", "eva_config", "exclude_modules", "inference_mode",
    "layers_pattern", "layers_to_transform", "lora_dropout", "lora_ga_config", "megatron_core", "peft_type",
    "peft_version", "qalora_group_size", "revision", "target_modules", "task_type",
})  # fmt: skip
READ = frozenset({"alpha_pattern", "lora_alpha", "r", "rank_pattern", "use_rslora"})
# The others (pissa, olora, corda, loftq, …) train against an altered base: merging into the original would be wrong.
PLAIN_STARTS = (None, True, False, "gaussian", "orthogonal", "eva")


@dataclass(frozen=True)
class Update:
    """What one weight gets: `B @ A * scale`, by the names of both matrices in the adapter's file."""

    a: str
    b: str
    scale: float
    shape: tuple[int, int]  # of the weight that it fits


@dataclass(frozen=True)
class Adapter:
    """A checked adapter: its updates by the name of the base weight they change."""

    folder: Path
    updates: dict[str, Update]
    trained_on: str | None  # as the adapter's config names its base

    @property
    def weights(self) -> Path:
        return self.folder / WEIGHTS


def read_adapter(folder: Path) -> Adapter:
    """Read an adapter's config and header; everything the file holds is used, or refused.

    Raises:
        StepError: it is not an adapter, not whole, or needs something that the merge does not support.
    """
    if not folder.is_dir():
        raise StepError(f"{folder}: there is no such folder; --adapter must name the folder that training wrote")
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise StepError(f"{folder}: not an adapter: {name} is missing; give the folder that training wrote")
    config = _read_config(folder / CONFIG)
    pairs = _pair(folder / WEIGHTS, read_header(folder / WEIGHTS))
    updates = {}
    for module, sides in pairs.items():
        a, b = sides["A"][1].shape, sides["B"][1].shape
        scale = _scale(config, module, a[0], folder)
        updates[f"{module}.weight"] = Update(sides["A"][0], sides["B"][0], scale, (b[0], a[1]))
    return Adapter(folder, updates, config.get("base_model_name_or_path"))


def _read_config(path: Path) -> dict[str, Any]:
    config = contract.read_json(path, "the adapter's configuration")
    if not isinstance(config, dict):
        raise StepError(f"{path}: must be a JSON object with peft's settings")
    if config.get("peft_type") != "LORA":
        raise StepError(f"{path}: peft_type {config.get('peft_type')} is not supported, only LORA; {INSTEAD}")
    refused = [key for key, value in config.items() if not _is_plain(key, value)]
    if refused:
        named = ", ".join(f"{key} {json.dumps(config[key])}" for key in sorted(refused))
        raise StepError(f"{path}: not supported by the merge: {named}; {INSTEAD}")
    patterns = [config.get(key) or {} for key in ("rank_pattern", "alpha_pattern")]
    if not all(isinstance(pattern, dict) for pattern in patterns):
        raise StepError(f"{path}: rank_pattern and alpha_pattern must be objects; save the adapter again with peft")
    numbers = [config.get("r"), config.get("lora_alpha"), *patterns[0].values(), *patterns[1].values()]
    if not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers):
        raise StepError(f"{path}: r, lora_alpha and their patterns must be numbers; save the adapter again with peft")
    return config


def _is_plain(key: str, value: Any) -> bool:
    """Whether a setting leaves the merge as it is here."""
    if key == "bias":
        return value in (None, "none")
    if key == "init_lora_weights":
        return value in PLAIN_STARTS
    return not value or key in HARMLESS | READ


def _pair(path: Path, header: dict[str, Stored]) -> dict[str, dict[str, tuple[str, Stored]]]:
    """The tensors by module and side, each module with both matrices, which fit each other."""
    if not header:
        raise StepError(f"{path}: is empty: it holds no tensors; train again, and check what training wrote")
    found = {name: TENSOR.fullmatch(name) for name in sorted(header)}
    others = [name for name, match in found.items() if match is None]
    if others:
        raise StepError(
            f"{path}: not supported by the merge: tensors that are not LoRA matrices of linear layers "
            f"({len(others)}, first {others[0]}); {INSTEAD}"
        )
    pairs: dict[str, dict[str, tuple[str, Stored]]] = {}
    for name, match in found.items():
        if header[name].dtype not in FLOATS or len(header[name].shape) != 2 or 0 in header[name].shape:
            stored = f"{header[name].dtype} {list(header[name].shape)}"
            raise StepError(
                f"{path}: {name}: not supported by the merge: {stored} is not a matrix of floats; {INSTEAD}"
            )
        pairs.setdefault(match["module"], {})[match["side"]] = (name, header[name])
    for module, sides in pairs.items():
        if len(sides) != 2:
            has, lacks = ("A", "B") if "A" in sides else ("B", "A")
            raise StepError(
                f"{path}: {module} has lora_{has} but no lora_{lacks}; the file is not whole: copy it again"
            )
        rows, columns = sides["A"][1].shape[0], sides["B"][1].shape[1]
        if rows != columns:
            raise StepError(f"{path}: {module}: lora_A has rank {rows}, lora_B {columns}; train again")
    return pairs


def _scale(config: dict[str, Any], module: str, rank: int, folder: Path) -> float:
    """peft's factor for a module; the rank in the config must be the matrices' own, or the factor would be wrong."""
    r = _setting(config, "r", "rank_pattern", module)
    if r != rank:
        raise StepError(
            f"{folder / CONFIG}: says rank {r} for {module}, its matrices in {WEIGHTS} have {rank}; "
            "the two files are not of one adapter: copy both again"
        )
    alpha = _setting(config, "lora_alpha", "alpha_pattern", module)
    return alpha / math.sqrt(r) if config.get("use_rslora") else alpha / r


def _setting(config: dict[str, Any], default: str, pattern: str, module: str) -> Any:
    """A module's value: of the first pattern that matches the end of its name, as peft reads them."""
    for expression, value in (config.get(pattern) or {}).items():
        if re.match(rf"(.*\.)?({expression})$", module):
            return value
    return config[default]
