"""Content-addressed names for local files and folders."""

from __future__ import annotations

import hashlib
from pathlib import Path

KEY_LENGTH = 16  # hex digits; 64 bits keep accidental collisions out of reach for any number of uploads


def content_key(path: Path) -> str:
    """A hash over the content of a file, or over the relative names and contents of a folder's files.

    Hidden files and Python's caches do not count: they are not part of what is uploaded.
    """
    digest = hashlib.sha256()
    for file in files_below(path):
        name = file.name if path.is_file() else file.relative_to(path).as_posix()
        digest.update(f"{name}\0{file.stat().st_size}\0".encode())
        with open(file, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:KEY_LENGTH]


def files_below(path: Path) -> list[Path]:
    """The file itself, or the files of a folder in name order, without hidden ones and Python's caches."""
    if path.is_file():
        return [path]
    found = []
    for file in sorted(path.rglob("*")):
        parts = file.relative_to(path).parts
        if file.is_file() and not any(part.startswith(".") or part == "__pycache__" for part in parts):
            found.append(file)
    return found
