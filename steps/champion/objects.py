"""What lies under S3 URIs at this moment: of the data's as one hash, since a step's cache key has URIs in it and not
their content; of an adapter's whether it is still there.

An object counts by its key, size and entity tag; in a local run by name, size and time of its file. So a file that was
added, removed or replaced changes the hash, and one that was uploaded again may change it though its content is the
same: Preprocess then runs, and its data hash tells that there is nothing new. Limits: reads no content.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from steps.champion.approved import client, translated
from steps.shared import contract, folders, served_files
from steps.shared.contract import StepError

BLOCK = 2**20
VARIABLE = "LOCAL_STORE"  # set by the local executor: the folder that stands for S3


def state(uris: Sequence[str]) -> str:
    """The SHA-256 of the objects' names and versions under these S3 URIs; a URI is a prefix, as a job's input is.

    Raises:
        StepError: S3 does not answer, or there is nothing under one of them.
    """
    digest = hashlib.sha256()
    for uri in uris:
        lines = sorted(_lines(uri))
        if not lines:
            raise StepError(f"{uri}: there is no object; upload the data there, or name another place, and start again")
        digest.update("".join(lines).encode())
    return digest.hexdigest()


def present(uri: str) -> bool:
    """Whether there is an object under an S3 URI.

    Raises:
        StepError: S3 does not answer.
    """
    return next(_lines(uri), None) is not None


def read(uri: str) -> bytes | None:
    """An object's content; None where there is none.

    Raises:
        StepError: S3 does not answer.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if folder := os.environ.get(VARIABLE):
        path = Path(folder) / bucket / key
        return path.read_bytes() if path.is_file() else None
    from botocore.exceptions import ClientError

    with translated(f"s3:GetObject on {uri}"):
        try:
            return client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"].get("Code") in ("NoSuchKey", "404"):
                return None
            raise


def sha256(uri: str) -> str:
    """The hash of an object's content, hex, read in blocks.

    Raises:
        StepError: S3 does not answer.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if folder := os.environ.get(VARIABLE):
        return contract.sha256(Path(folder) / bucket / key)
    with translated(f"s3:GetObject on {uri}"):
        return served_files.sha256_of(client("s3").get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(BLOCK))


def sizes(uri: str) -> dict[str, int]:
    """The bytes of each object below a prefix, by its name there.

    Raises:
        StepError: S3 does not answer.
    """
    start = len(uri.removeprefix("s3://"))
    entries = (line.rsplit(" ", 2) for line in _lines(uri))
    return {name[start:]: int(size) for name, size, _ in entries if not name.endswith("/")}


def _lines(uri: str) -> Iterator[str]:
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    if folder := os.environ.get(VARIABLE):
        yield from _local(Path(folder) / bucket, prefix)
        return
    with translated(f"s3:ListBucket on {uri}"):
        for page in client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                yield f"{bucket}/{entry['Key']} {entry['Size']} {entry['ETag']}\n"


def _local(bucket: Path, prefix: str) -> Iterator[str]:
    start = (bucket / prefix).parent if prefix and not prefix.endswith("/") else bucket / prefix
    for file in (folder / name for folder, names in folders.walk(start) for name in names):
        key = file.relative_to(bucket).as_posix()
        if key.startswith(prefix):
            facts = file.stat()
            yield f"{bucket.name}/{key} {facts.st_size} {facts.st_mtime_ns}\n"
