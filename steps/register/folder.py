"""A local run's model registry: one folder a group, one a version, in it the package as DescribeModelPackage answers.

Written by local runs alone: their Register step, and the job that registers in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from steps.shared import contract


def add(registry: Path, request: Mapping[str, Any], group: str, account: str) -> dict[str, Any]:
    """Store a CreateModelPackage request as the next version of its group and return the package.

    Args:
        group: the group's name, also where the request names it by its ARN.
        account: how the ARNs of this registry start, up to the kind of resource.
    """
    version, folder = _next_version(registry / group)
    package = {
        "ModelApprovalStatus": "PendingManualApproval",
        **request,
        "ModelPackageGroupName": group,
        "ModelPackageVersion": version,
        "ModelPackageArn": f"{account}:model-package/{group}/{version}",
        "ModelPackageStatus": "Completed",
        "CreationTime": datetime.now(UTC).isoformat(),
    }
    contract.write_json(folder / "package.json", package)
    return package


def _next_version(group: Path) -> tuple[int, Path]:
    """Making the folder takes the number: of two executions at once each gets its own."""
    group.mkdir(parents=True, exist_ok=True)
    version = max((int(path.name) for path in group.iterdir() if path.name.isdecimal()), default=0) + 1
    while True:
        try:
            (group / str(version)).mkdir()
        except FileExistsError:
            version += 1
        else:
            return version, group / str(version)
