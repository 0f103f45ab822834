"""Model packages on this machine: the request that AWS would get, under ROOT/registry/GROUP/VERSION/package.json.

A package is answered as DescribeModelPackage answers. Limits: a model card is kept as it is, its schema not checked; no
cross-account policies, one machine.
"""

from __future__ import annotations

import getpass
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.errors import UserError, did_you_mean
from pipeline.files import write_json
from pipeline.local.state import damage
from pipeline.local.state.damage import Damaged
from pipeline.local.state.records import ACCOUNT
from pipeline.local.state.store import Store
from pipeline.texts import now
from pipeline.versions.registry import Decision, ModelVersion, checked_note, decided, version_of, with_champions
from steps.register import folder
from steps.register.repeat import EXECUTION
from steps.shared.folders import one_at_a_time

MEMBERS = {"ModelPackageGroupName", "ModelPackageVersion", "ModelPackageArn", "CreationTime"}  # what all have
_GROUP = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")


def register(root: Path, request: Mapping[str, Any], by: str | None = None) -> dict[str, Any]:
    """Store a CreateModelPackage request as the next version of its group and return the package; where a version is
    the same already, but for the execution that registered it, that one is returned.

    Args:
        by: the execution and step that register; what they have registered before, and were killed then, is returned.

    Raises:
        UserError: the group's name is not one, the model is not in the store, or the version cannot be stored.
    """
    group = str(request["ModelPackageGroupName"]).rpartition("/")[2]  # AWS takes a name or an ARN
    if not _GROUP.fullmatch(group):
        raise UserError(f"model package group {group!r}: letters, digits and single -, at most 63")
    for uri in _models(request):
        if not Store(root).exists(uri):
            raise UserError(f"model package group {group}: the model {uri} does not exist")
    try:
        return folder.add(home(root), request, group, ACCOUNT, by)
    except (OSError, ValueError) as error:
        raise UserError(
            f"model package group {group}: the version cannot be stored in {home(root)} ({error}); "
            "fix that, then retry the execution: what training made is still there"
        ) from None


def registered_by_another(package: Mapping[str, Any], execution_arn: str) -> str | None:
    """Another execution that has registered the same version before, in words; None where this one has."""
    arn = package.get("CustomerMetadataProperties", {}).get(EXECUTION, execution_arn)
    return None if arn == execution_arn else f"execution {arn.rpartition('/')[2]}"


def list_models(root: Path, left_out: Callable[[Damaged], None], group: str | None = None) -> list[dict[str, Any]]:
    """The packages of one group, or of all, newest first; `left_out` is told of those whose file is damaged or gone."""
    packages = []
    for place in folder.folders(home(root), group):
        try:
            packages.append(_read(place / folder.PACKAGE))
        except Damaged as error:
            left_out(error)
    return sorted(packages, key=lambda package: package["CreationTime"], reverse=True)


def versions(root: Path, left_out: Callable[[Damaged], None], group: str | None = None) -> list[ModelVersion]:
    """The packages of one group, or of all, as the versions that commands show, newest first."""
    return with_champions(version_of(package) for package in list_models(root, left_out, group))


def require_readable(root: Path, group: str, version: int) -> None:
    """Raises Damaged where a version is there and its file cannot be read."""
    place = home(root) / group / str(version)
    if place.is_dir():
        _read(place / folder.PACKAGE)


def describe(root: Path, name: str) -> dict[str, Any]:
    """One package, by its ARN or as `group/version`.

    Raises:
        UserError: there is no such package, or its file is damaged or gone.
    """
    short = name.partition(":model-package/")[2] or name
    group, _, version = short.partition("/")
    known = {f"{place.parent.name}/{place.name}" for place in folder.folders(home(root))}
    if f"{group}/{version}" not in known:
        raise UserError(f"{name}: no such model package{did_you_mean(short, known) or '; it looks like group/version'}")
    return _read(home(root) / group / version / folder.PACKAGE)


def decide(root: Path, name: str, decision: Decision, note: str, *, was: str | None = None) -> None:
    """Approve or reject a package, named as for `describe`; its file is replaced whole, with who decided and when.

    Args:
        was: the status that was decided upon; None where nobody looked.

    Raises:
        UserError: there is no such package, its file is damaged, or somebody else has decided meanwhile.
    """
    describe(root, name)  # that there is one, and so a folder to lock
    with one_at_a_time(home(root)):
        package = describe(root, name)
        found = package.get("ModelApprovalStatus")
        if was not in (None, found):
            who = package.get("LastModifiedBy", {}).get("UserProfileName", "somebody")
            raise UserError(
                f"{name}: was {was}, and {who} has made it {found} meanwhile; nothing was changed: look again"
            )
        changed = {
            "ModelApprovalStatus": decision,
            "ApprovalDescription": checked_note(note),
            "LastModifiedTime": now().isoformat(),
            "LastModifiedBy": {"UserProfileName": _user()},
            "CustomerMetadataProperties": decided(package.get("CustomerMetadataProperties") or {}, decision),
        }
        place = home(root) / package["ModelPackageGroupName"] / str(package["ModelPackageVersion"])
        write_json(place / folder.PACKAGE, package | changed)


def _user() -> str:
    """The user's name, or number where the machine has no name for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def home(root: Path) -> Path:
    """The folder of all groups."""
    return root.resolve() / "registry"


def _read(file: Path) -> dict[str, Any]:
    what = f"version {file.parent.name} of {file.parents[1].name}"
    try:
        return damage.read(file, what, _package)
    except FileNotFoundError:
        raise damage.gone(file, what) from None


def _package(text: str) -> dict[str, Any]:
    """Raises ValueError where the text is no package."""
    package = json.loads(text)
    if not isinstance(package, dict) or not package.keys() >= MEMBERS:
        raise ValueError("it is no model package")
    try:
        version = version_of(package)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"it is no model package: {error}") from None
    if not (isinstance(version.created, datetime) and version.created.tzinfo):
        raise ValueError(f"CreationTime is {package['CreationTime']!r}, not an ISO 8601 time with its zone")
    if not isinstance(version.version, int) or not isinstance(version.metadata, dict):
        raise ValueError("ModelPackageVersion must be a number and CustomerMetadataProperties an object")
    return package


def _models(request: Mapping[str, Any]) -> Iterator[str]:
    for container in request.get("InferenceSpecification", {}).get("Containers", []):
        if "ModelDataUrl" in container:
            yield container["ModelDataUrl"]
        elif "ModelDataSource" in container:
            yield container["ModelDataSource"]["S3DataSource"]["S3Uri"]
