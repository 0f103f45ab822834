"""Read and check an adapter: what it holds for which module, from its configuration and its file's header alone.

An adapter's file holds LoRA matrices, each pair with the name of its module, and whole tensors that take the place of
the base's (modules_to_save, trained biases, copies of embeddings). Everything the file holds is used, or refused.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps.merge.fit.peft_settings import INSTEAD, Settings, read_settings
from steps.shared import contract
from steps.shared.contract import StepError
from steps.shared.model_folder import TEMPLATE_FILES, TOKENIZER_FILES
from steps.shared.weights.safetensors_file import FLOATS, Stored, read_header

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
MANIFEST = "manifest.json"
EVALUATION = "evaluation.json"  # used where it is there: an adapter is one without it too
USED = (CONFIG, WEIGHTS, EVALUATION, *TOKENIZER_FILES, *TEMPLATE_FILES)
PREFIX = "base_model.model."
PART = re.compile(
    r"(?P<module>.+)\.(?:lora_(?P<linear>[AB])\.weight|lora_embedding_(?P<embedding>[AB])"
    r"|lora_B\.(?P<bias>bias)|lora_(?P<magnitude>magnitude)_vector)"
)


@dataclass(frozen=True)
class Lora:
    """A module's LoRA: the names of its tensors in the adapter's file and what their shapes tell."""

    module: str  # in the model; the wrappers that `target_parameters` nests are part of it, as `.base_layer`
    embedding: bool
    a: str  # of [rank, inputs]
    b: str  # of [outputs, rank]
    rank: int
    inputs: int
    outputs: int
    magnitude: str | None  # DoRA's, of [outputs]
    bias: str | None  # what `lora_bias` trained, of [outputs]


@dataclass(frozen=True)
class Adapter:
    """A checked adapter."""

    folder: Path
    settings: Settings
    tensors: dict[str, Stored]
    loras: tuple[Lora, ...]
    replacements: dict[str, str]  # the base's tensor: the adapter's that takes its place

    @property
    def weights(self) -> Path:
        return self.folder / WEIGHTS


def read_adapter(folder: Path) -> Adapter:
    """Read an adapter's config and header.

    Raises:
        StepError: it is not an adapter, not whole, or needs something that the merge does not support.
    """
    if not folder.is_dir():
        raise StepError(f"{folder}: there is no such folder; --adapter must name the folder that training wrote")
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise StepError(f"{folder}: not an adapter: {name} is missing; give the folder that training wrote")
    require_as_written(folder)
    settings = read_settings(folder / CONFIG)
    path = folder / WEIGHTS
    tensors = read_header(path)
    if not tensors:
        raise StepError(f"{path}: is empty: it holds no tensors; train again, and check what training wrote")
    modules: dict[str, dict[str, str]] = {}
    replacements = {}
    for name in sorted(tensors):
        match = PART.fullmatch(name.removeprefix(PREFIX))
        if not name.startswith(PREFIX) or (match is None and "lora_" in name):
            raise StepError(
                f"{path}: not supported by the merge: {name}, which is neither a LoRA matrix of a linear layer, an "
                f"embedding or a parameter, nor a tensor of the model; {INSTEAD}"
            )
        if tensors[name].dtype not in FLOATS or 0 in tensors[name].shape:
            stored = f"{tensors[name].dtype} {list(tensors[name].shape)}"
            raise StepError(f"{path}: {name}: not supported by the merge: {stored} holds no floats; {INSTEAD}")
        if match:
            part = next(f"{kind} {side}" for kind, side in match.groupdict().items() if side and kind != "module")
            modules.setdefault(match["module"], {})[part] = name
        else:
            replacements[re.sub(r"\.base_layer\.(weight|bias)$", r".\1", name.removeprefix(PREFIX))] = name
    for module in settings.modules_to_save:
        if not any(f"{module}." in name for name in replacements):  # peft goes by the end of a module's name
            raise StepError(f"{path}: holds nothing of {module}, which modules_to_save names; copy the adapter again")
    loras = tuple(_lora(path, settings, module, parts, tensors) for module, parts in modules.items())
    return Adapter(folder, settings, tensors, loras, replacements)


def require_as_written(folder: Path) -> None:
    """Where training's manifest lies beside an adapter, what is used of the folder has the bytes that it wrote.

    Raises:
        StepError: a file is missing, or has other bytes; or the manifest is damaged.
    """
    files = written_hashes(folder) or {}
    for name in sorted(filter(_is_used, files)):
        file = folder / name
        if name == EVALUATION and not file.exists():
            continue
        if not file.is_file():
            raise StepError(f"{file}: is missing: {MANIFEST} beside it names it; copy the folder again")
        if contract.sha256(file) != files[name]:
            raise StepError(
                f"{file}: has not the bytes that training wrote, by {MANIFEST} beside it; copy the folder again, or "
                f"remove {MANIFEST} if the change is meant"
            )


def written_hashes(folder: Path) -> dict[str, Any] | None:
    """SHA-256 (hex) of each file that training wrote, by its path in the folder; None without training's manifest.

    Raises:
        StepError: the manifest is damaged.
    """
    content = read_manifest(folder)
    if content is None:
        return None
    files = content.get("files") if isinstance(content, dict) else None
    if not isinstance(files, dict):
        raise StepError(f"{folder / MANIFEST}: has no hashes of files; copy the folder that training wrote again")
    return files


def read_manifest(folder: Path) -> Any:
    """What training's manifest beside an adapter says, which may be anything; None where it is not there.

    Raises:
        StepError: it is not JSON.
    """
    manifest = folder / MANIFEST
    return contract.read_json(manifest, "the manifest that training wrote") if manifest.is_file() else None


def _is_used(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in USED)


def _lora(path: Path, settings: Settings, module: str, parts: dict[str, str], tensors: dict[str, Stored]) -> Lora:
    """A module's matrices, which must be there together and fit each other."""
    kinds = {part.split()[0] for part in parts} & {"linear", "embedding"}
    kind = kinds.pop() if len(kinds) == 1 else "linear"
    a_name, b_name = (parts.get(f"{kind} {side}") for side in "AB")
    if kinds or a_name is None or b_name is None:
        lacks = "lora_A" if a_name is None else "lora_B"
        has = ", ".join(sorted(name.removeprefix(f"{PREFIX}{module}.") for name in parts.values()))
        raise StepError(f"{path}: {module} has {has} but no {lacks}; the file is not whole: copy it again")
    a, b = tensors[a_name].shape, tensors[b_name].shape
    if len(a) != 2 or len(b) != 2:
        raise StepError(
            f"{path}: {module}: not supported by the merge: LoRA matrices of {len(a)} and {len(b)} dimensions, as of "
            f"convolutions; {INSTEAD}"
        )
    if a[0] != b[1]:
        raise StepError(f"{path}: {module}: lora_A has rank {a[0]}, lora_B {b[1]}; train again")
    magnitude, bias = parts.get("magnitude magnitude"), parts.get("bias bias")
    if settings.dora != (magnitude is not None):
        said = "no lora_magnitude_vector" if settings.dora else "a lora_magnitude_vector"
        dora = str(settings.dora).lower()
        raise StepError(
            f"{path}: {module} has {said}, but {CONFIG} says use_dora {dora}; the two files are not of one adapter: "
            "copy both again"
        )
    for name in filter(None, (magnitude, bias)):
        if tensors[name].shape != (b[0],):
            raise StepError(f"{path}: {name}: has shape {list(tensors[name].shape)}, not [{b[0]}]; train again")
    return Lora(module, kind == "embedding", a_name, b_name, a[0], a[1], b[0], magnitude, bias)
