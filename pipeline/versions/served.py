"""Whether the files of a registered version are still those that were judged, before anything is done with them.

A version's metadata has the hash of its folder's manifest, which has the hash and the size of every file. Versions
that were registered before this was so have none: what may be done with those, the caller says.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.aws import downloads
from pipeline.errors import UserError
from pipeline.settings.content import split_uri
from pipeline.versions.registry import ModelVersion, Options
from steps.shared import served_files
from steps.shared.served_files import OF_MODEL, FilesDiffer

BLOCK = 2**20


def check_folder(version: ModelVersion, folder: Path, options: Options, *, whole: bool) -> bool:
    """Check a version's folder on this machine; False where it was registered without a hash.

    Args:
        whole: read every file, and not the manifest and the sizes alone.

    Raises:
        UserError: a file is not what was registered.
    """
    expected = version.metadata.get(OF_MODEL)
    if expected is None:
        return False
    try:
        served_files.check_folder(folder, expected, whole=whole)
    except FilesDiffer as error:
        raise swapped(version, str(folder), error, options) from None
    return True


def check_objects(
    version: ModelVersion, s3: Any, options: Options, *, whole: bool, say: Callable[[str], None] = lambda said: None
) -> bool:
    """The same for the objects in S3, of which `whole` reads every byte; `say` is told so."""
    expected, uri = version.metadata.get(OF_MODEL), version.model_uri or ""
    if expected is None:
        return False
    bucket, _ = split_uri(uri)
    objects = downloads.objects(s3, uri)
    try:
        served = served_files.read_manifest(downloads.read(s3, f"{uri}{served_files.MANIFEST}"), expected)
        served.check_sizes({name: entry["Size"] for name, entry in objects.items()})
        if whole:
            size = sum(served.sizes.values())
            say(f"reading {uri}, to see that it is what was approved: {len(served.sizes)} files, {size / 1e6:,.1f} MB")
            served.check_hashes(lambda name: _sha256(s3, bucket, objects[name]["Key"]))
    except FilesDiffer as error:
        raise swapped(version, uri, error, options) from None
    return True


def _sha256(s3: Any, bucket: str, key: str) -> str:
    return served_files.sha256_of(s3.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(BLOCK))


def swapped(version: ModelVersion, place: str, error: FilesDiffer, options: Options) -> UserError:
    """The error of a version one of whose files is not the registered one."""
    return UserError(
        f"{version.group} version {version.version} is not what was registered: in {place} {error}; bring back "
        f"what was registered, or reject the version: python pipeline.py reject {version.version}{options}"
    )
