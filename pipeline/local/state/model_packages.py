"""Model packages on this machine: the request that AWS would get, under ROOT/registry/GROUP/VERSION/package.json.

A package is answered as DescribeModelPackage answers. Limits: a model card is kept as it is, its schema not checked; no
cross-account policies, one machine.
"""

from __future__ import annotations

import getpass
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import UserError, did_you_mean
from pipeline.files import write_json
from pipeline.local.state.records import ACCOUNT
from pipeline.local.state.store import Store
from pipeline.texts import now
from pipeline.versions.registry import Decision, ModelVersion, checked_note, decided, version_of, with_champions
from steps.register import folder

_GROUP = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")


def register(root: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    """Store a CreateModelPackage request as the next version of its group and return the package.

    Raises:
        UserError: the group's name is not one, or the model is not in the store.
    """
    group = str(request["ModelPackageGroupName"]).rpartition("/")[2]  # AWS takes a name or an ARN
    if not _GROUP.fullmatch(group):
        raise UserError(f"model package group {group!r}: letters, digits and single -, at most 63")
    for uri in _models(request):
        if not Store(root).exists(uri):
            raise UserError(f"model package group {group}: the model {uri} does not exist")
    return folder.add(home(root), request, group, ACCOUNT)


def list_models(root: Path, group: str | None = None) -> list[dict[str, Any]]:
    """The packages of one group, or of all, newest first."""
    packages = [_read(file) for file in home(root).glob(f"{group or '*'}/*/package.json")]
    return sorted(packages, key=lambda package: package["CreationTime"], reverse=True)


def versions(root: Path, group: str | None = None) -> list[ModelVersion]:
    """The packages of one group, or of all, as the versions that commands show, newest first."""
    return with_champions(version_of(package) for package in list_models(root, group))


def describe(root: Path, name: str) -> dict[str, Any]:
    """One package, by its ARN or as `group/version`.

    Raises:
        UserError: there is no such package.
    """
    short = name.partition(":model-package/")[2] or name
    group, _, version = short.partition("/")
    known = {f"{package['ModelPackageGroupName']}/{package['ModelPackageVersion']}" for package in list_models(root)}
    if f"{group}/{version}" not in known:
        raise UserError(f"{name}: no such model package{did_you_mean(short, known) or '; it looks like group/version'}")
    return _read(home(root) / group / version / "package.json")


def decide(root: Path, name: str, decision: Decision, note: str) -> None:
    """Approve or reject a package, named as for `describe`; its file is replaced whole, with who decided and when."""
    package = describe(root, name)
    changed = {
        "ModelApprovalStatus": decision,
        "ApprovalDescription": checked_note(note),
        "LastModifiedTime": now().isoformat(),
        "LastModifiedBy": {"UserProfileName": getpass.getuser()},
        "CustomerMetadataProperties": decided(package.get("CustomerMetadataProperties") or {}, decision),
    }
    place = home(root) / package["ModelPackageGroupName"] / str(package["ModelPackageVersion"])
    write_json(place / "package.json", package | changed)


def home(root: Path) -> Path:
    """The folder of all groups."""
    return root.resolve() / "registry"


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))


def _models(request: Mapping[str, Any]) -> Iterator[str]:
    for container in request.get("InferenceSpecification", {}).get("Containers", []):
        if "ModelDataUrl" in container:
            yield container["ModelDataUrl"]
        elif "ModelDataSource" in container:
            yield container["ModelDataSource"]["S3DataSource"]["S3Uri"]
