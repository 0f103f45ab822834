"""The files of an input, and their content-addressed key: the same content, the same key, wherever it lies."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from pipeline.errors import UserError
from steps.shared.contract import sha256, special

KEY_LENGTH = 16  # hex digits: 64 bits keep accidental collisions out of reach for any number of uploads


def content_key(path: Path) -> str:
    """A hash over the content of a file, or over the relative names and contents of a folder's input files.

    Raises:
        UserError: nothing is there, or an empty folder.
    """
    return _key(input_files(path))


def code_key(folder: Path) -> str:
    """The same over a folder of code without its manuals (*.md): no image holds them, and no job reads them."""
    return _key({name: file for name, file in input_files(folder).items() if not name.endswith(".md")})


def _key(files: Mapping[str, Path]) -> str:
    digest = hashlib.sha256()
    for name, file in files.items():
        digest.update(f"{len(name)}:{name}:{sha256(file)}\n".encode())
    return digest.hexdigest()[:KEY_LENGTH]


def input_files(path: Path) -> dict[str, Path]:
    """What an upload of `path` takes along, by relative name: the file itself, or a folder's files without hidden ones.

    Links are followed: hub caches keep a model as links to blobs.

    Raises:
        UserError: nothing is there, or an empty folder.
    """
    if instead := special(path):
        raise UserError(f"{path}: must be a file or a folder, not {instead}")
    if path.is_file():
        return {path.name: path}
    if not path.is_dir():
        raise UserError(f"{path}: no such file or folder")
    found = {name: file for name, file in relative_files(path).items() if not _is_aside(name)}
    if not found:
        raise UserError(f"{path}: an empty folder, there is nothing to use as input")
    for file in found.values():
        if instead := special(file):
            raise UserError(f"{file}: is {instead}, which cannot be an input; take it out of the folder")
    return found


def relative_files(folder: Path) -> dict[str, Path]:
    """Every file below a folder by its relative name, in the order of names; links are followed."""
    return {name: folder / name for name in sorted(_names(folder))}


def _is_aside(name: str) -> bool:
    """Hidden files and Python's caches lie beside an input and are not part of it."""
    return any(part.startswith(".") or part == "__pycache__" for part in name.split("/"))


def _names(path: Path) -> Iterator[str]:
    seen = set()
    for folder, folders, files in os.walk(path, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link to a parent folder would never end
            folders.clear()
            continue
        seen.add(real)
        for name in files:
            yield PurePosixPath(os.path.relpath(os.path.join(folder, name), path)).as_posix()


def split_uri(uri: str) -> tuple[str, str]:
    """(bucket, key) of an S3 URI.

    Raises:
        UserError: not an S3 URI, or a key that would leave its bucket (`..`).
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise UserError(f"{uri}: not an S3 URI; it must look like s3://bucket/key")
    if bucket in (".", "..") or ".." in key.split("/") or "\0" in uri:
        raise UserError(f"{uri}: '..' is not allowed, it would leave the bucket")
    return bucket, key
