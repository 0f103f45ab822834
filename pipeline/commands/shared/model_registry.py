"""The model registry of a command, on AWS or on this machine, behind the same few questions."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from pipeline.aws import downloads, tracking_server
from pipeline.aws import errors as aws
from pipeline.commands.shared.forgotten_local import Here
from pipeline.commands.shared.on_aws import Remote, remote
from pipeline.commands.shared.options import LOCAL_ROOT, left_out, say, stderr, where
from pipeline.errors import UserError
from pipeline.local import linked as local_linked
from pipeline.local.state import model_packages
from pipeline.local.state.damage import Damaged
from pipeline.local.state.store import Store
from pipeline.settings.schema import WorkflowFile
from pipeline.versions import linked, registry, served
from pipeline.versions.registry import Decision, ModelVersion, Options
from pipeline.watching import pulse
from steps.register.repeat import EXECUTION
from steps.shared import typed_yaml

Version = Annotated[str, typer.Argument(help="A number, latest, or approved: the newest approved one.")]
Group = Annotated[
    str | None,
    typer.Option("--group", help="Model package group; default: the workflow's.", show_default=False),
]


class Registry(Protocol):
    """The versions of one model package group, and the files that they name."""

    @property
    def group(self) -> str:
        """The model package group."""

    @property
    def options(self) -> Options:
        """What a next command needs to mean the same versions."""

    def find(self, name: str) -> ModelVersion:
        """The version that a name means. Raises UserError where there is none."""

    def statuses(self) -> dict[int, str]:
        """The approval status of each version, by its number."""

    def versions(self) -> list[ModelVersion]:
        """All of them, newest first."""

    def decide(self, version: ModelVersion, decision: Decision, note: str) -> None:
        """Approve or reject a version."""

    def link(self, versions: Sequence[ModelVersion]) -> list[str]:
        """Tell MLflow of versions, and which is the champion; what came of it, in lines."""

    def check(self, version: ModelVersion) -> bool:
        """Check that a version's files are those that were registered, by their sizes and by their manifest's hash;
        False where it was registered without one. Raises UserError where one is not."""

    def exists(self, uri: str) -> bool:
        """Whether anything lies at an S3 URI."""

    def read(self, uri: str) -> bytes | None:
        """The content of an S3 object; None where there is none."""

    def folder(self, uri: str) -> Path:
        """The objects of a prefix as a folder of this machine, to read. Raises UserError where there are none."""


@dataclass(frozen=True)
class LocalRegistry:
    """The registry under a local root."""

    root: Path
    group: str
    options: Options

    def find(self, name: str) -> ModelVersion:
        damaged: list[Damaged] = []
        versions = {version.version: version for version in self._versions(self.group, damaged.append)}
        if damaged and not name.isdecimal():
            raise UserError(f"{name} cannot be told: {damaged[0]}; or name a version by its number")
        others = {version.group for version in self._versions(None, lambda error: None)} if not versions else set()
        if not versions and others:
            named = ", ".join(sorted(others))
            raise UserError(f"{self.group}: no version is registered in {self.root}; name one of {named} with --group")
        statuses = {number: version.approval_status for number, version in versions.items()}
        if name.isdecimal() and int(name) not in versions:  # not there, or its file is damaged, which is then said
            model_packages.require_readable(self.root, self.group, int(name))
        return versions[registry.choose(name, statuses, self.group, self.options)]

    def statuses(self) -> dict[int, str]:
        return {version.version: version.approval_status for version in self._versions(self.group, left_out)}

    def _versions(self, group: str | None, damaged: Callable[[Damaged], None]) -> list[ModelVersion]:
        """Without those whose file is damaged, which hurts nobody who means another one by its number."""
        return model_packages.versions(self.root, damaged, group)

    def decide(self, version: ModelVersion, decision: Decision, note: str) -> None:
        model_packages.decide(self.root, version.arn, decision, note, was=version.approval_status)

    def versions(self) -> list[ModelVersion]:
        return self._versions(self.group, left_out)

    def link(self, versions: Sequence[ModelVersion]) -> list[str]:
        return local_linked.link(self.root, *_with_champion(self, versions), linked.again(self.options))

    def check(self, version: ModelVersion) -> bool:
        return served.check_folder(version, self._store.path(version.model_uri or ""), self.options, whole=False)

    def exists(self, uri: str) -> bool:
        return self._store.exists(uri)

    def read(self, uri: str) -> bytes | None:
        path = self._store.path(uri)
        return path.read_bytes() if path.is_file() else None

    def folder(self, uri: str) -> Path:
        path = self._store.path(uri)
        if not path.is_dir():
            raise UserError(
                f"{uri}: nothing is there any more ({path}); "
                f"see the other versions: python pipeline.py models{self.options}"
            )
        return path

    @property
    def _store(self) -> Store:
        return Store(self.root)


@dataclass(frozen=True)
class AwsRegistry:
    """SageMaker's registry; what is fetched from S3 is kept under the local root."""

    there: Remote
    root: Path
    group: str
    options: Options

    def find(self, name: str) -> ModelVersion:
        return registry.find(self.there.sagemaker, self.group, name, self.options)

    def statuses(self) -> dict[int, str]:
        return registry.statuses(self.there.sagemaker, self.group)

    def decide(self, version: ModelVersion, decision: Decision, note: str) -> None:
        registry.decide(self.there.sagemaker, version, decision, note)

    def versions(self) -> list[ModelVersion]:
        return registry.list_models(self.there.sagemaker, self.group)

    def link(self, versions: Sequence[ModelVersion]) -> list[str]:
        chosen, champion = _with_champion(self, versions)
        known = [one for version in chosen if (one := linked.tracked(version))]
        return linked.link(known, champion, linked.again(self.options), self._registers_itself)

    def link_of_execution(self, arn: str) -> list[str]:
        """The same of the newest version where that execution has registered it; nothing otherwise."""
        with aws.translated(linked.again(self.options)):
            numbers = self.statuses()
            newest = self.find(str(max(numbers))) if numbers else None
            is_own = newest is not None and newest.metadata.get(EXECUTION) == arn
            return self.link([newest]) if newest and is_own else []

    def _registers_itself(self, uri: str) -> str | None:
        """Why MLflow's model registry must not be written to: SageMaker would register what stands there once more."""
        return tracking_server.registers_itself(self.there.client, uri)

    def check(self, version: ModelVersion) -> bool:
        return served.check_objects(version, self._s3, self.options, whole=False)

    def exists(self, uri: str) -> bool:
        return downloads.exists(self._s3, uri)

    def read(self, uri: str) -> bytes | None:
        return downloads.read(self._s3, uri)

    def folder(self, uri: str) -> Path:
        with pulse.working(stderr, f"fetching {uri}") as far:
            return downloads.folder(self._s3, uri, self.root / "downloads", say, far)

    @cached_property
    def _s3(self) -> Any:
        return self.there.client("s3")


@contextmanager
def registry_of(
    command: str, local: bool, root: Path, settings: Path, group: str | None, *, changes: bool = False
) -> Iterator[Registry]:
    """The registry that a command means; AWS's errors end with the command to run again.

    Args:
        command: the verb and its arguments.
        changes: it changes something, so the credentials must be the settings' account's.
    """
    options = next_options(local, settings, group, root)
    if local:
        yield LocalRegistry(root, group or package_group(settings), options)
        return
    verb = command + (f" --group {shlex.quote(group)}" if group else "")
    with remote(verb, settings, changes=changes, here=Here(verb, root)) as there:
        yield AwsRegistry(there, root, group or there.workflow.settings.register_model.package_group, options)


def _with_champion(there: Registry, versions: Sequence[ModelVersion]) -> tuple[list[ModelVersion], int | None]:
    """The versions and the champion, whose alias MLflow keeps; and its number."""
    champion = registry.champion(there.statuses())
    if champion is None or champion in {version.version for version in versions}:
        return list(versions), champion
    return [*versions, there.find(str(champion))], champion


def next_options(local: bool, settings: Path, group: str | None, root: Path = LOCAL_ROOT) -> Options:
    """What a next command needs to mean the same versions."""
    return Options(where(local, settings, root), f" --group {shlex.quote(group)}" if group else "")


def package_group(settings: Path) -> str:
    """The workflow's group, from its file alone: what that names need not be there."""
    return typed_yaml.load(settings, WorkflowFile).register_model.package_group


def document(version: ModelVersion, **more: Any) -> dict[str, Any]:
    """A version as a command's JSON has it."""
    return {**dataclasses.asdict(version), **more}
