"""What the account test makes, written down before it is made, and deleted from what was written.

One file a test, a line a thing. Where a deletion fails, or the process is killed, the file stays: `python -m
tests.account FILE` deletes what it names, and the next account test refuses to start before. Everything is deleted by
the test's own name: nothing else can be hit.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.aws import executions
from pipeline.aws.client import client
from pipeline.aws.errors import code_and_message, described
from pipeline.errors import UserError
from tests.account.own_settings import PREFIX
from tests.paths import ROOT

FOLDER = ROOT / ".local" / "account-test"
STOP_SECONDS = 900  # how long a stopped execution may take to end its job
Say = Callable[[str], None]


class Made:
    """The list of what one account test has made."""

    def __init__(self, path: Path):
        self.path = path

    def note(self, kind: str, **where: str) -> None:
        """Write a thing down, on the disk before this returns: then make it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, **where}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def entries(self) -> list[dict[str, str]]:
        """The things, in the order in which they were written down."""
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        whole, _, _ = text.rpartition("\n")  # a line without its end was never whole, and what it names not made yet
        return [json.loads(line) for line in whole.splitlines()]

    def delete(self, say: Say, clients: Callable[[str, str], Any] = client) -> list[str]:
        """Delete them all, the last first, and the list with them; what could not be deleted, where something is left.

        Args:
            clients: a client by service and region.
        """
        left = []
        for entry in reversed(self.entries()):
            try:
                DELETES[entry["kind"]](lambda service, region=entry["region"]: clients(service, region), entry, say)
            except Exception as error:  # one thing that stays must not keep the others there
                left.append(f"{entry['kind']} {entry['name']}: {' '.join(code_and_message(error)).strip()}")
        if not left:
            self.path.unlink(missing_ok=True)
        return left


def unfinished(folder: Path = FOLDER) -> list[Path]:
    """The lists of account tests that have left something behind."""
    return sorted(folder.glob("*.made"))


def _pipeline(get: Any, entry: Mapping[str, str], say: Say) -> None:
    """AWS deletes no pipeline under an execution that runs: stop it, and wait for its end."""
    sagemaker, name = get("sagemaker"), entry["name"]
    if described(lambda: sagemaker.describe_pipeline(PipelineName=name)) is None:
        return
    for execution in running(sagemaker, name):
        say(f"stopping execution {execution}")
        executions.stop(sagemaker, execution)
    waited = 0
    while running(sagemaker, name):
        if waited >= STOP_SECONDS:
            raise UserError(f"an execution is still running {STOP_SECONDS} s after it was stopped")
        time.sleep(10)
        waited += 10
    sagemaker.delete_pipeline(PipelineName=name)
    say(f"deleted pipeline {name}")


def running(sagemaker: Any, pipeline: str) -> list[str]:
    """The ARNs of a pipeline's executions that have not ended."""
    found = executions.list_executions(sagemaker, pipeline)
    return [entry.arn for entry in found if entry.status in executions.RUNNING]


def _group(get: Any, entry: Mapping[str, str], say: Say) -> None:
    sagemaker, name = get("sagemaker"), entry["name"]
    if described(lambda: sagemaker.describe_model_package_group(ModelPackageGroupName=name)) is None:
        return
    pages = sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=name)
    versions = [version["ModelPackageArn"] for page in pages for version in page["ModelPackageSummaryList"]]
    for arn in versions:
        sagemaker.delete_model_package(ModelPackageName=arn)
    sagemaker.delete_model_package_group(ModelPackageGroupName=name)
    say(f"deleted model package group {name} with {len(versions)} versions")


def _schedule(get: Any, entry: Mapping[str, str], say: Say) -> None:
    scheduler = get("scheduler")
    key = {"Name": entry["name"], "GroupName": entry["group"]}
    if described(lambda: scheduler.get_schedule(**key)) is not None:
        scheduler.delete_schedule(**key)
        say(f"deleted schedule {entry['name']}")


def _objects(get: Any, entry: Mapping[str, str], say: Say) -> None:
    """With all their versions: the bucket keeps old ones."""
    s3, bucket, prefix = get("s3"), entry["bucket"], entry["name"]
    if not prefix.startswith(f"{PREFIX}/") or not prefix.endswith("/") or prefix == f"{PREFIX}/":
        raise UserError(f"{prefix}: is no prefix of an account test, nothing is deleted there")
    count = 0
    for keys in _versions(s3, bucket, prefix):
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
        if errors := answer.get("Errors"):
            raise UserError(f"s3://{bucket}/{errors[0]['Key']}: {errors[0]['Code']}: {errors[0]['Message']}")
        count += len(keys)
    say(f"deleted {count} objects under s3://{bucket}/{prefix}")


def _versions(s3: Any, bucket: str, prefix: str) -> Iterator[list[dict[str, str]]]:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if found:
            yield [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in found]


DELETES: Mapping[str, Callable[[Any, Mapping[str, str], Say], None]] = {
    "pipeline": _pipeline,
    "group": _group,
    "schedule": _schedule,
    "objects": _objects,
}
