"""A local run's model registry: one folder a group, one a version, in it the package as DescribeModelPackage answers.

Written by local runs alone: their Register step, and the job that registers in its place.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from steps.register.repeat import is_repeat
from steps.shared import contract
from steps.shared.folders import one_at_a_time

BY = "registered-by"  # beside a version's package.json: whose registration it is
PACKAGE = "package.json"
NEW = ".new"  # where a version is written, before it appears whole under its number


def add(registry: Path, request: Mapping[str, Any], group: str, account: str, by: str | None = None) -> dict[str, Any]:
    """Store a CreateModelPackage request as the next version of its group and return the package; where a version is
    the same already, but for the execution that registered it, return that one, as it stands now.

    Args:
        group: the group's name, also where the request names it by its ARN.
        account: how the ARNs of this registry start, up to the kind of resource.
        by: what registers, such as a step of an execution, which does so once: the version that it has registered
            before, as it stands now, is returned.

    Raises:
        OSError: it cannot be stored.
        ValueError: the version that `by` has registered before cannot be read.
    """
    home = registry / group
    home.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(home):  # of two executions at once each gets its own number
        version = None if by is None else _version_of(home, by)
        if version is not None and (home / str(version) / PACKAGE).exists():
            return json.loads((home / str(version) / PACKAGE).read_text(encoding="utf-8"))
        if version is None and (same := _same(home, request)):
            return same
        if version is None:
            version = max((int(path.name) for path in home.iterdir() if path.name.isdecimal()), default=0) + 1
        package = {
            "ModelApprovalStatus": "PendingManualApproval",
            **request,
            "ModelPackageGroupName": group,
            "ModelPackageVersion": version,
            "ModelPackageArn": f"{account}:model-package/{group}/{version}",
            "ModelPackageStatus": "Completed",
            "CreationTime": datetime.now(UTC).isoformat(),
        }
        _write(home, version, package, by)
        return package


def folders(registry: Path, group: str | None = None) -> list[Path]:
    """The folder of every version of one group, or of all, whether or not its package is there."""
    found = registry.glob(f"{group or '*'}/*")
    return sorted(path for path in found if path.name.isdecimal() and path.is_dir())


def _write(home: Path, version: int, package: Mapping[str, Any], by: str | None) -> None:
    """A version with all that it has, at once; or what one lacks that has lost its package."""
    place = home / str(version)
    if place.exists():
        contract.write_json(place / PACKAGE, package)
        return
    shutil.rmtree(home / NEW, ignore_errors=True)  # of a registration that was killed
    if by is not None:
        contract.write_text(home / NEW / BY, by)
    contract.write_json(home / NEW / PACKAGE, package)
    os.rename(home / NEW, place)
    contract.sync_names(home)


def _same(home: Path, request: Mapping[str, Any]) -> dict[str, Any] | None:
    """The newest version that this request would make once more."""
    for number in sorted((int(path.name) for path in home.iterdir() if path.name.isdecimal()), reverse=True):
        with contextlib.suppress(OSError, ValueError, RecursionError):  # cut short or damaged: none that is known
            package = json.loads((home / str(number) / PACKAGE).read_text(encoding="utf-8"))
            if is_repeat(package, request):
                return package
    return None


def _version_of(home: Path, by: str) -> int | None:
    """The number that this registration has taken; its package may be gone."""
    for file in home.glob(f"*/{BY}"):
        with contextlib.suppress(OSError, ValueError):  # another one's, which is damaged
            if file.read_text(encoding="utf-8") == by and file.parent.name.isdecimal():
                return int(file.parent.name)
    return None
