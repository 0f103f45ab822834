"""Where a pipeline's captures, feedback and runs lie: folders of this machine, or a prefix in S3.

Names are relative: `captures/…`, `feedback/…`, `runs/EXECUTION/…`. A changed file appears whole. In S3 all versions of
what is deleted go, and the earlier ones of what is changed. Limits: a file is held in memory while it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pipeline.aws import errors as aws
from pipeline.files import write_bytes
from pipeline.settings.content import relative_files, split_uri

CAPTURES, FEEDBACK, RUNS = "captures", "feedback", "runs"
AT_ONCE = 16  # requests to S3
DELETED_AT_ONCE = 1000  # the most that S3 takes in one request

Edit = Callable[[bytes], bytes]
Entry = TypeVar("Entry")


class Place(Protocol):
    def names(self, folder: str) -> list[str]:
        """Every file below a folder, in the order of names."""

    def contents(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Each file with its content; one that is gone meanwhile is left out."""

    def apply(self, delete: Sequence[str], change: Mapping[str, Edit]) -> list[str]:
        """Delete files and change others; returns what stays all the same, with the reason."""


class Here:
    """Folders of this machine."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = folders

    def names(self, folder: str) -> list[str]:
        top, _, below = folder.partition("/")
        path = self._folders[top] / below
        return [f"{folder}/{name}" for name in relative_files(path)] if path.is_dir() else []

    def contents(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        for name in names:
            try:
                content = self._path(name).read_bytes()
            except FileNotFoundError:
                continue
            yield name, content

    def apply(self, delete: Sequence[str], change: Mapping[str, Edit]) -> list[str]:
        for name, edit in change.items():
            path = self._path(name)
            mode = path.stat().st_mode & 0o777
            write_bytes(path, edit(path.read_bytes()))
            path.chmod(mode)
        for name in delete:
            self._path(name).unlink(missing_ok=True)
        return []

    def _path(self, name: str) -> Path:
        top, _, below = name.partition("/")
        return self._folders[top] / below


class InS3:
    """A pipeline's prefix in S3; is handed its client."""

    def __init__(self, s3: Any, base_uri: str, encryption: Mapping[str, str]) -> None:
        """
        Args:
            encryption: further arguments of put_object.
        """
        self._s3, self._encryption = s3, encryption
        self._bucket, key = split_uri(base_uri)
        self._prefix = f"{key.rstrip('/')}/"

    def names(self, folder: str) -> list[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=f"{self._prefix}{folder}/"
        )
        keys = (entry["Key"] for page in pages for entry in page.get("Contents", []))
        return [key.removeprefix(self._prefix) for key in keys if not key.endswith("/")]

    def contents(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for some in _batched(names, AT_ONCE):
                for name, content in zip(some, pool.map(self._read, some), strict=True):
                    if content is not None:
                        yield name, content

    def apply(self, delete: Sequence[str], change: Mapping[str, Edit]) -> list[str]:
        for name, edit in change.items():
            content = self._read(name)
            if content is not None:
                key = f"{self._prefix}{name}"
                self._s3.put_object(Bucket=self._bucket, Key=key, Body=edit(content), **self._encryption)
        return self._remove(set(delete), set(change))

    def _read(self, name: str) -> bytes | None:
        key = f"{self._prefix}{name}"
        found = aws.described(lambda: self._s3.get_object(Bucket=self._bucket, Key=key))
        return found and found["Body"].read()

    def _remove(self, delete: set[str], changed: set[str]) -> list[str]:
        """Delete all versions of the first, and of the second all but the newest."""
        if not delete and not changed:
            return []
        try:
            entries = [
                entry
                for folder in sorted({_folder(name) for name in delete | changed})
                for entry in self._versions(folder, delete, changed)
            ]
        except Exception as error:
            if not aws.is_denied(error):
                raise
            kept = self._delete([{"Key": f"{self._prefix}{name}"} for name in sorted(delete)])
            return [
                *kept,
                f"earlier versions of {len(delete | changed)} objects below s3://{self._bucket}/{self._prefix}, where "
                f"the bucket keeps some: {aws.refusal(error)}",
            ]
        return self._delete(entries)

    def _versions(self, folder: str, delete: set[str], changed: set[str]) -> Iterator[dict[str, str]]:
        pages = self._s3.get_paginator("list_object_versions").paginate(
            Bucket=self._bucket, Prefix=f"{self._prefix}{folder}/"
        )
        for page in pages:
            for entry in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
                name = entry["Key"].removeprefix(self._prefix)
                if name in delete or (name in changed and not entry["IsLatest"]):
                    yield {"Key": entry["Key"], "VersionId": entry["VersionId"]}

    def _delete(self, entries: Iterable[dict[str, str]]) -> list[str]:
        kept = []
        for some in _batched(entries, DELETED_AT_ONCE):
            answer = self._s3.delete_objects(Bucket=self._bucket, Delete={"Objects": some, "Quiet": True})
            kept += [
                f"s3://{self._bucket}/{error['Key']}: {error.get('Message') or error.get('Code')}"
                for error in answer.get("Errors", [])
            ]
        return kept


def _batched(entries: Iterable[Entry], size: int) -> Iterator[list[Entry]]:
    left = iter(entries)
    while some := list(islice(left, size)):
        yield some


def _folder(name: str) -> str:
    """Where to look for a name's versions: a run's own folder, or all captures, or all feedback."""
    parts = name.split("/")
    return "/".join(parts[:2]) if parts[0] == RUNS else parts[0]
