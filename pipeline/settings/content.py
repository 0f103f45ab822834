"""The files of an input, and their content-addressed key: the same content, the same key, wherever it lies."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.errors import UserError
from steps.shared.contract import sha256, special
from steps.shared.folders import walk

KEY_LENGTH = 16  # hex digits: 64 bits keep accidental collisions out of reach for any number of uploads


def content_key(path: Path) -> str:
    """A hash over the content of a file, or over the relative names and contents of a folder's input files.

    Raises:
        UserError: nothing is there, an empty folder, or something in it cannot be read.
    """
    return key_of(hashes(input_files(path)))


def code_key(folder: Path) -> str:
    """The same over a folder of code without its manuals (*.md): no image holds them, and no job reads them."""
    return key_of(hashes({name: file for name, file in input_files(folder).items() if not name.endswith(".md")}))


def hashes(files: Mapping[str, Path]) -> dict[str, str]:
    """The SHA-256 of each file, hex, by name; raises UserError where one cannot be read."""
    try:
        return {name: sha256(file) for name, file in files.items()}
    except OSError as error:
        raise _unreadable(error) from None


def key_of(hashed: Mapping[str, str]) -> str:
    """The content key of files with these names and hashes, given in the order of names."""
    digest = hashlib.sha256()
    for name, file_hash in hashed.items():
        digest.update(f"{len(name)}:{name}:{file_hash}\n".encode())
    return digest.hexdigest()[:KEY_LENGTH]


def changed(path: Path) -> UserError:
    """The error where a file or folder is not any more what its key was made of."""
    return UserError(f"{path}: its content changed while it was read; run again when nothing writes there any more")


def input_files(path: Path) -> dict[str, Path]:
    """What an upload of `path` takes along, by relative name: the file itself, or a folder's files without hidden ones.

    Links are followed, to folders too: hub caches keep a model as links to blobs.

    Raises:
        UserError: nothing is there, an empty folder, or one in it that cannot be entered.
    """
    if instead := special(path):
        raise UserError(f"{path}: must be a file or a folder, not {instead}")
    if path.is_file():
        return {path.name: path}
    if not path.is_dir():
        raise UserError(f"{path}: no such file or folder")
    try:
        found = _files(path, _is_aside)
    except OSError as error:
        raise _unreadable(error) from None
    if not found:
        raise UserError(f"{path}: an empty folder, there is nothing to use as input")
    for file in found.values():
        if instead := special(file):
            raise UserError(f"{file}: is {instead}, which cannot be an input; take it out of the folder")
    return found


def relative_files(folder: Path) -> dict[str, Path]:
    """Every file below a folder by its relative name, in the order of names; links are followed.

    Raises:
        OSError: a folder below cannot be entered.
    """
    return _files(folder, lambda name: False)


def _files(folder: Path, skip: Callable[[str], bool]) -> dict[str, Path]:
    found: list[str] = []
    for here, files in walk(folder, skip):
        below = "" if here == folder else f"{here.relative_to(folder).as_posix()}/"
        found += [f"{below}{name}" for name in files if not skip(name)]
    return {name: folder / name for name in sorted(found)}


def _is_aside(name: str) -> bool:
    """Hidden files and Python's caches lie beside an input and are not part of it."""
    return name.startswith(".") or name == "__pycache__"


def _unreadable(error: OSError) -> UserError:
    return UserError(
        f"{error.filename}: cannot be read ({error.strerror}), and an input is taken whole: make it readable, or take "
        "it out of the folder"
    )


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
