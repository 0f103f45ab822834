"""Registered versions in MLflow: a tag at their run, a version in MLflow's model registry, and the alias `champion`.

The model package group is what counts; all that stands here is copied from it, so it can be copied again at any time,
and nothing changes where it is right already. A run says which versions were made of it (`version`,
`model_package_arn`); MLflow's version, of a registered model with the group's name, says where the artifact lies, and
counts its own numbers: the group's number is its tag `version`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from steps.shared import contract

CHAMPION = "champion"
ARN_TAG = "model_package_arn"  # finds MLflow's version of a package again


class Version(BaseModel):
    """One version of the group.

    Attributes:
        source: where its files lie, as MLflow is told.
        facts: its tags beside number, ARN and approval status.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int
    arn: str
    run_id: str
    source: str
    approval_status: str
    facts: dict[str, str]

    @property
    def tags(self) -> dict[str, str]:
        own = {"version": str(self.number), ARN_TAG: self.arn, "approval_status": self.approval_status}
        return self.facts | own


class Group(BaseModel):
    """What MLflow is to be told of a model package group.

    Attributes:
        versions: those to link, all of them of this tracker.
        champion: the number of the newest approved version, one of `versions` where this tracker has it; None where
            none is approved.
        registry: whether MLflow's model registry may be written to.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    versions: list[Version]
    champion: int | None
    registry: bool = True


class Linked(BaseModel):
    """What came of it.

    Attributes:
        runs: numbers of the versions whose run says so now.
        registered: the group's number -> MLflow's.
        champion: MLflow's version with the alias.
        problems: what could not be done, each in a line.
    """

    runs: list[int] = []
    registered: dict[int, str] = {}
    champion: str | None = None
    problems: list[str] = []


def link(client: Any, group: Group) -> Linked:
    """
    Args:
        client: an MlflowClient.

    Raises:
        MlflowException: the tracker is not reached, or refuses to answer of a run.
    """
    found = Linked()
    for version in group.versions:
        if _tell_run(client, group.name, version):
            found.runs.append(version.number)
        else:
            found.problems.append(f"run {version.run_id} of version {version.number} is not there any more")
    there = [version for version in group.versions if version.number in found.runs]
    if group.registry and there:
        _register(client, group, there, found)
    return found


def _tell_run(client: Any, group: str, version: Version) -> bool:
    """Whether the tracker has the run. A run of which several versions were made names them all, the newest last."""
    from mlflow.entities import LifecycleStage, RunTag
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(version.run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    if run.info.lifecycle_stage != LifecycleStage.ACTIVE:
        return False
    said = {"version": f"{group}/{version.number}", ARN_TAG: version.arn}
    wanted = {name: _with(run.data.tags.get(name, ""), value) for name, value in said.items()}
    if new := [RunTag(name, value) for name, value in wanted.items() if run.data.tags.get(name) != value]:
        client.log_batch(version.run_id, tags=new)
    return True


def _with(there: str, value: str) -> str:
    known = there.split(", ") if there else []
    return ", ".join(known if value in known else [*known, value])


def _register(client: Any, group: Group, versions: Sequence[Version], found: Linked) -> None:
    """In MLflow's model registry; where it has none, or refuses, that is one of the problems."""
    from mlflow.exceptions import MlflowException

    try:
        _require_model(client, group.name)
        for version in versions:
            found.registered[version.number] = _mlflow_version(client, group.name, version)
        found.champion = found.registered.get(group.champion) if group.champion is not None else None
        _set_champion(client, group.name, found.champion)
    except MlflowException as error:
        found.problems.append(f"MLflow's model registry does not take it: {contract.first_line(error)}")


def _require_model(client: Any, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name, description=f"Versions of the SageMaker model package group {name}.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _mlflow_version(client: Any, name: str, version: Version) -> str:
    """The number of MLflow's version of this one, which is made where it is not there."""
    known = client.search_model_versions(f"name = '{name}' AND run_id = '{version.run_id}'")
    same = [one for one in known if one.tags.get(ARN_TAG) == version.arn]
    if not same:
        made = client.create_model_version(
            name, version.source, version.run_id, tags=version.tags, await_creation_for=0,
            description=f"Version {version.number} of {name}: {version.arn}",
        )  # fmt: skip
        return str(made.version)
    for tag, value in version.tags.items():
        if same[0].tags.get(tag) != value:
            client.set_model_version_tag(name, same[0].version, tag, value)
    return str(same[0].version)


def _set_champion(client: Any, name: str, version: str | None) -> None:
    """Without a champion here nothing has the alias: an older one would be served as if it were it."""
    now = client.get_registered_model(name).aliases.get(CHAMPION)
    if version is None and now is not None:
        client.delete_registered_model_alias(name, CHAMPION)
    elif version is not None and str(now) != version:
        client.set_registered_model_alias(name, CHAMPION, version)
