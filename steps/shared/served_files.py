"""What a registered version's folder must hold: its manifest names every file with hash and size, and the registration
carries the manifest's own hash. So whoever serves the folder, or compares with it, can tell that it is what was judged.

Imports the standard library only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps.shared import contract
from steps.shared.folders import walk

MANIFEST = "manifest.json"
OF_THE_DESKTOP = (
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
)  # what looking into a folder leaves there; nothing loads them
# Keys of a version's metadata: the manifest of the folder that is served, that of the gate's folder with the adapter,
# and the one that was there when the version was approved.
OF_MODEL, OF_ADAPTER, OF_APPROVAL = "manifest_sha256", "adapter_manifest_sha256", "approved_manifest_sha256"


class FilesDiffer(Exception):
    """A file is not what was registered. `str(error)` names it and how it differs, without saying what to do."""


@dataclass(frozen=True)
class ServedFiles:
    """What a manifest says of its folder: SHA-256 (hex) and bytes of each file, by its path there."""

    hashes: Mapping[str, str]
    sizes: Mapping[str, int]

    def check_sizes(self, there: Mapping[str, int]) -> None:
        """
        Args:
            there: the bytes of each file that the folder has, by its path there.

        Raises:
            FilesDiffer: a file is missing, has another size, or is none of the manifest's.
        """
        for name, size in self.sizes.items():
            if name not in there:
                raise FilesDiffer(f"{name} is missing")
            if there[name] != size:
                raise FilesDiffer(f"{name} has {there[name]:,} bytes, the registered one has {size:,}")
        more = sorted(there.keys() - self.sizes.keys() - {MANIFEST})
        if more := [name for name in more if name.rpartition("/")[2] not in OF_THE_DESKTOP]:
            raise FilesDiffer(f"{more[0]} was not there when the version was registered (a file too many: remove it)")

    def check_content(self, name: str, content: bytes) -> None:
        """Raises FilesDiffer where this is not the content of the file of that path."""
        if self.hashes.get(name) != hashlib.sha256(content).hexdigest():
            raise FilesDiffer(f"{name} has another content than the registered one")

    def check_hashes(self, sha256_of: Callable[[str], str]) -> None:
        """
        Args:
            sha256_of: the hash of a file, by its path in the folder; reads the file.

        Raises:
            FilesDiffer: a file's content is not the registered one.
        """
        for name, expected in self.hashes.items():
            if sha256_of(name) != expected:
                raise FilesDiffer(f"{name} has another content than the registered one")


def is_approval_of_others(metadata: Mapping[str, str]) -> bool:
    """Whether a version was approved when its manifest was another one than it is registered with now."""
    approved = metadata.get(OF_APPROVAL)
    return approved is not None and approved != metadata.get(OF_MODEL)


def sha256_of(blocks: Iterable[bytes]) -> str:
    """The hash, hex, of a content that comes in blocks."""
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


def facts(folder: Path, names: list[str]) -> dict[str, dict[str, Any]]:
    """The part of a manifest that this module reads: `files` with their hashes, `sizes` with their bytes."""
    return {
        "files": {name: contract.sha256(folder / name) for name in names},
        "sizes": {name: (folder / name).stat().st_size for name in names},
    }


def paths(folder: Path) -> dict[str, Path]:
    """All files below a folder, by their paths there."""
    found = [here / name for here, names in walk(folder) for name in names]
    return {path.relative_to(folder).as_posix(): path for path in sorted(found)}


def read_manifest(content: bytes | None, expected: str) -> ServedFiles:
    """What a folder's manifest says.

    Args:
        content: the manifest's bytes; None where there is none.
        expected: its registered SHA-256, hex.

    Raises:
        FilesDiffer: it is missing, or not the one that was registered.
    """
    if content is None:
        raise FilesDiffer(f"{MANIFEST} is missing")
    if hashlib.sha256(content).hexdigest() != expected:
        raise FilesDiffer(f"{MANIFEST} has another content than the registered one")
    manifest = json.loads(content)
    return ServedFiles(manifest["files"], manifest["sizes"])


def check_folder(folder: Path, expected: str, *, whole: bool) -> None:
    """Check a folder of this machine against the registered hash of its manifest.

    Args:
        whole: read every file, and not the manifest and the sizes alone.

    Raises:
        FilesDiffer: something in there is not what was registered.
    """
    manifest, there = folder / MANIFEST, paths(folder)
    served = read_manifest(manifest.read_bytes() if manifest.is_file() else None, expected)
    served.check_sizes({name: path.stat().st_size for name, path in there.items()})
    if whole:
        served.check_hashes(lambda name: contract.sha256(there[name]))
