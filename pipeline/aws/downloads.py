"""Objects of S3 on this machine: one read whole, a prefix as a folder that is there whole or not at all.

Is handed its client. A folder is kept under a key of the objects' names, sizes and ETags, so that it is fetched once,
and again when something in S3 has changed. Limits: nothing is ever removed from the cache; remove its folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.aws.errors import described
from pipeline.aws.transferred import transferred
from pipeline.errors import UserError
from pipeline.settings.content import KEY_LENGTH, split_uri


def exists(s3: Any, uri: str) -> bool:
    """Whether there is any object below that prefix, or of that key."""
    bucket, key = split_uri(uri)
    return bool(s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents"))


def read(s3: Any, uri: str) -> bytes | None:
    """An object's content; None where there is none."""
    bucket, key = split_uri(uri)
    found = described(lambda: s3.get_object(Bucket=bucket, Key=key))
    return found and found["Body"].read()


def folder(
    s3: Any, uri: str, cache: Path, say: Callable[[str], None], far: Callable[[str], None] = lambda text: None
) -> Path:
    """The objects of a prefix as a folder of `cache`; `say` is told what is being fetched, `far` how far that is.

    Raises:
        UserError: there are no objects, they do not fit on the disk, or it is no prefix of plain files.
    """
    if not uri.endswith("/"):
        raise UserError(
            f"{uri}: an archive, not a folder of files, and not of this pipeline; see the other versions: "
            "python pipeline.py models"
        )
    found = objects(s3, uri)
    if not found:
        raise UserError(f"{uri}: nothing is there any more; see the other versions: python pipeline.py models")
    final = cache.resolve() / _key(uri, found)
    if final.is_dir():
        return final
    size = sum(entry["Size"] for entry in found.values())
    final.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(final.parent).free
    if size > free:
        raise UserError(
            f"{uri}: {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free in {final.parent}; "
            "make room there, or name another folder with --local-root"
        )
    say(f"fetching {uri}: {len(found)} files, {size / 1e6:,.1f} MB, into {final}")
    _fetch(s3, uri, found, final, far)
    return final


def _fetch(s3: Any, uri: str, objects: dict[str, dict[str, Any]], final: Path, far: Callable[[str], None]) -> None:
    beside = final.with_name(f".{final.name}.{uuid.uuid4().hex[:8]}")
    try:
        for name, entry in objects.items():
            target = beside / name
            target.parent.mkdir(parents=True, exist_ok=True)
            got = transferred(name, entry["Size"], far)
            s3.download_file(split_uri(uri)[0], entry["Key"], str(target), Callback=got)
        os.rename(beside, final)
    except OSError as error:
        if not final.is_dir():  # otherwise another process has fetched the same meanwhile
            fix = "make room there, or name another folder with --local-root"
            raise UserError(f"{uri}: cannot be kept in {final.parent}: {error.strerror or error}; {fix}") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def objects(s3: Any, uri: str) -> dict[str, dict[str, Any]]:
    """The objects below a prefix by their names there; the markers that consoles make for folders are left out.

    Raises:
        UserError: a name that leads out of a folder.
    """
    bucket, prefix = split_uri(uri)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    entries = [entry for page in pages for entry in page.get("Contents", []) if not entry["Key"].endswith("/")]
    found = {entry["Key"].removeprefix(prefix): entry for entry in entries}
    for name in found:
        if ".." in name.split("/") or name.startswith("/"):
            raise UserError(f"{uri}{name}: a name that leads out of its folder; register the model again")
    return found


def _key(uri: str, objects: dict[str, dict[str, Any]]) -> str:
    digest = hashlib.sha256(uri.encode())
    for name, entry in sorted(objects.items()):
        digest.update(f"\n{len(name)}:{name}:{entry['Size']}:{entry['ETag']}".encode())
    return digest.hexdigest()[:KEY_LENGTH]
