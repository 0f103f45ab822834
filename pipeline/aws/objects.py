"""What lies under the S3 URIs that an execution reads, looked at before a job is paid for.

Is handed its client. Limits: goes by names alone, as Preprocess chooses its files, and opens none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipeline.aws.errors import DENIED, code_and_message
from steps.preprocess.read.inputs import SUFFIXES

DATA = ("InputDataUri", "ValidationDataUri")
NAMED = 5  # of files that are no data


def input_problems(s3: Any, uris: Mapping[str, str], say: Callable[[str], None]) -> list[str]:
    """What is missing under these URIs, by parameter; data must have a file that Preprocess reads.

    Args:
        say: hears of what these credentials may not list; the jobs' role may read it all the same.
    """
    from botocore.exceptions import ClientError

    problems = []
    for name, uri in uris.items():
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        try:
            problem = _problem(_names(s3, bucket, prefix), name in DATA)
        except ClientError as error:
            code = code_and_message(error)[0]
            if code in DENIED:
                say(f"{name}: {uri}: these credentials may not list it (s3:ListBucket); it was not looked for")
                continue
            if code != "NoSuchBucket":
                raise
            problem = no_bucket(bucket)
        if problem:
            problems.append(f"{name}: {uri}: {problem}")
    return problems


def no_bucket(name: str) -> str:
    """The problem of a bucket that does not exist."""
    return f"there is no bucket {name}"


def _names(s3: Any, bucket: str, prefix: str) -> Iterator[str]:
    """The objects that a job gets of a prefix, by their names in its folder."""
    folder = prefix[: prefix.rfind("/") + 1]
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            if not entry["Key"].endswith("/"):  # consoles make such objects for folders
                yield entry["Key"].removeprefix(folder)


def _problem(names: Iterator[str], data: bool) -> str:
    others = []
    for name in names:
        hidden = any(part.startswith(".") for part in name.split("/"))
        if not data or (name.lower().endswith(SUFFIXES) and not hidden):
            return ""
        others.append(name)
    if not others:
        return "there is no object; upload it there, or name another place"
    shown = ", ".join(others[:NAMED])
    return f"there is no file that Preprocess reads (it holds {shown}); readable are {', '.join(SUFFIXES)}"
