"""Which files answer, and whether they fit into memory: from names, headers and sizes, before any weight is read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from steps.merge.fit.adapter import read_adapter
from steps.merge.fit.as_trained import require_sound
from steps.merge.fit.base import Base, open_base
from steps.merge.fit.find_changes import find_changes
from steps.shared.contract import StepError
from steps.shared.hub import is_hub_name
from steps.shared.model_folder import check_folder

BESIDE_WEIGHTS = 2**30  # bytes: the libraries (0.5 GB measured), the cache of keys and values, activations
MEMINFO, CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Weights:
    """What is loaded: a model's files, and the adapter that goes on top.

    Attributes:
        tokenizer: the folder whose tokenizer and chat template the version was trained with.
    """

    model: Base
    adapter: Path | None
    tokenizer: Path

    @property
    def base(self) -> Weights | None:
        """What is under the adapter, to answer alone; None where there is no adapter."""
        return Weights(self.model, None, self.tokenizer) if self.adapter else None

    @property
    def bytes(self) -> int:
        """The size of all tensors as they are stored, which is how they are loaded."""
        return sum(path.stat().st_size for path in self._files())

    def _files(self) -> Iterator[Path]:
        yield from (shard.path for shard in self.model.shards)
        if self.adapter:
            yield from self.adapter.glob("*.safetensors")


def find_weights(model: str | None, adapter: Path | None, base: str | None, revision: str | None) -> Weights:
    """The files of `model`, or of `adapter` on `base`; a hub model is downloaded, or found in the cache.

    Raises:
        StepError: something is missing, the model is not whole, or the adapter belongs to another base.
    """
    if adapter is None:
        if not is_hub_name(str(model)):
            check_folder(Path(str(model)))
        found = whole_base(str(model), revision)
        return Weights(found, None, found.folder)
    checked = read_adapter(adapter)
    found = whole_base(str(base), revision, adapter)
    find_changes(found, checked)
    return Weights(found, adapter, adapter)


def whole_base(name: str, revision: str | None, adapter: Path | None = None) -> Base:
    """The files of a base, on which the adapter was trained if one is named; raises StepError where it is not whole."""
    base = open_base(name, revision)
    require_sound(base, adapter)
    return base


def require_memory(weights: Weights, free: int, where: str) -> None:
    """
    Raises:
        StepError: the weights and what comes beside them are more than the bytes that are free there.
    """
    needed = weights.bytes + BESIDE_WEIGHTS
    if needed > free:
        raise StepError(
            f"{weights.model.folder}: needs about {needed / 1e9:.1f} GB ({weights.bytes / 1e9:.1f} GB of weights), "
            f"{free / 1e9:.1f} GB are free {where}; end other programs, take a larger machine, or serve the version "
            "on an endpoint (python pipeline.py deploy, once it is approved)"
        )


def free_memory() -> int:
    """Bytes that a process may take: what Linux calls available, and no more than a container's limit leaves.

    On other systems all that the machine has.
    """
    if not MEMINFO.is_file():
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
    available = int(lines["MemAvailable"].split()[0]) * 1024
    limit, used = (_number(CGROUP / name) for name in ("memory.max", "memory.current"))
    return available if limit is None or used is None else min(available, limit - used)


def _number(path: Path) -> int | None:
    """A number of a control group; None where there is no group, or no limit (`max`)."""
    text = path.read_text().strip() if path.is_file() else ""
    return int(text) if text.isdecimal() else None
