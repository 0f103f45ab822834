"""Find the base model, a folder or a hub model, and check it from its headers: shards, index, configuration.

The weights are model.safetensors, or the shards that model.safetensors.index.json names. A base that is quantised is
refused: an adapter trained on NF4 merges into the original that it was quantised from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from steps.shared import contract, hub
from steps.shared.contract import StepError
from steps.shared.hub import is_hub_name
from steps.shared.model_folder import refuse_pointer, require_objects
from steps.shared.weights.safetensors_file import Stored, read_header

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
WANTED = ["*.safetensors", "*.json", "tokenizer*", "*.jinja", "*.model", "*.txt"]
UNWANTED = ["consolidated*", "original/*", "onnx/*"]  # the same weights once more, in other layouts
HEADS = ("lm_head.weight", "embed_out.weight")
AGAIN = "copy or download the base again"


@dataclass(frozen=True)
class Shard:
    """One of the base's weight files and what is in it."""

    path: Path
    tensors: dict[str, Stored]


@dataclass(frozen=True)
class Base:
    """A checked base model."""

    folder: Path
    name: str
    revision: str | None  # the commit of a hub model; None for a folder
    config: dict[str, Any]
    shards: tuple[Shard, ...]

    @cached_property
    def tensors(self) -> dict[str, Stored]:
        return {name: stored for shard in self.shards for name, stored in shard.tensors.items()}

    @property
    def model_type(self) -> str | None:
        return self.config.get("model_type")

    @property
    def tied(self) -> bool:
        """Whether the head shares the embeddings' weight; the key is not written where it has the model's default."""
        text = self.config.get("text_config")
        config = self.config if "tie_word_embeddings" in self.config or not isinstance(text, dict) else text
        return bool(config.get("tie_word_embeddings", not any(name.endswith(HEADS) for name in self.tensors)))


def open_base(base: str, revision: str | None) -> Base:
    """The base that `--base` names; a hub model is downloaded, or found in the cache.

    Raises:
        StepError: it is not there, not whole, or quantised.
    """
    folder, commit = _find_folder(base, revision)
    if not (folder / CONFIG).is_file():
        raise StepError(f"{folder}: not a model folder: {CONFIG} is missing; --base must name the whole base model")
    config = contract.read_json(folder / CONFIG, "the base's configuration")
    if not isinstance(config, dict):
        raise StepError(f"{folder / CONFIG}: must be a JSON object; {AGAIN}")
    if not isinstance(config.get("model_type"), str | None):
        raise StepError(f"{folder / CONFIG}: model_type must be a name; {AGAIN}")
    require_objects(folder)
    if config.get("quantization_config"):
        raise StepError(f"{folder / CONFIG}: has a quantization_config; give the original weights as --base")
    shards = tuple(Shard(path, tensors) for path, tensors in _read_shards(folder).items())
    return Base(folder, base, commit, config, shards)


def _find_folder(base: str, revision: str | None) -> tuple[Path, str | None]:
    path = Path(base)
    if path.is_dir():
        return path, None
    if not is_hub_name(base):
        raise StepError(f"{base}: there is no such folder; --base must name a model folder or a hub model")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import XetDownloadError

    print(f"fetching {base} from the hub", flush=True)
    here = not hub.require(base, revision)
    try:
        folder = snapshot_download(
            base, revision=revision, allow_patterns=WANTED, ignore_patterns=UNWANTED, local_files_only=here
        )
    except (OSError, ValueError, XetDownloadError) as error:  # the hub's other errors are kinds of these
        reason = contract.first_line(error)
        raise StepError(
            f"{base} (revision {revision or 'main'}): no such folder, and the hub did not give it: {reason} "
            "Check the name and the network; a gated model needs HF_TOKEN"
        ) from None
    return Path(folder), Path(folder).name


def _read_shards(folder: Path) -> dict[Path, dict[str, Stored]]:
    """The weight files in the index's order, each with its header; the index and the headers must agree."""
    for path in folder.glob("*.safetensors"):
        refuse_pointer(path)
    if (folder / SINGLE).is_file():  # comes first, as transformers looks for them
        return {folder / SINGLE: read_header(folder / SINGLE)}
    index = folder / INDEX
    if not index.is_file():
        packed = next(folder.glob("*.tar.gz"), None)
        fix = f"unpack {packed.name} there" if packed else AGAIN
        raise StepError(f"{folder}: no weights: neither {SINGLE} nor {INDEX} is there; {fix}")
    content = contract.read_json(index, "the index of the base's shards")
    places = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(places, dict) or not places or not all(isinstance(name, str) for name in places.values()):
        raise StepError(f"{index}: has no weight_map of tensors to files; {AGAIN}")
    names = sorted(set(places.values()))
    outside = [name for name in names if Path(name).name != name]
    if outside:
        raise StepError(f"{index}: names {outside[0]}, which is not a file beside it; {AGAIN}")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise StepError(f"{folder}: {len(missing)} of {len(names)} shards are missing, first {missing[0]}; {AGAIN}")
    shards = {folder / name: read_header(folder / name) for name in names}
    for tensor, name in places.items():
        if tensor not in shards[folder / name]:
            raise StepError(f"{index}: places {tensor} in {name}, which does not hold it; {AGAIN}")
    return shards
