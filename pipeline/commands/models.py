"""models, approve, reject: the versions that were registered, on AWS or on this machine, and what became of them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pipeline.commands.shared.forgotten_local import Here
from pipeline.commands.shared.model_registry import Group, Registry, Version, document, registry_of
from pipeline.commands.shared.on_aws import remote
from pipeline.commands.shared.options import (
    DEFAULT_SETTINGS,
    LOCAL_ROOT,
    AsJson,
    Local,
    LocalRoot,
    Settings,
    left_out,
    print_json,
    say,
    stderr,
    stdout,
    where,
)
from pipeline.errors import UserError
from pipeline.local.state import model_packages
from pipeline.texts import moment
from pipeline.versions import registry
from pipeline.versions.registry import APPROVED, Decision, ModelVersion
from pipeline.watching import pulse

Link = Annotated[
    bool, typer.Option("--link", help="Tell MLflow of them again: tags at their runs, versions, the alias champion.")
]
Note = Annotated[
    str | None, typer.Option("--note", help="Why, in one line; kept with the version.", show_default=False)
]


def models(
    group: Group = None,
    link: Link = False,
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """List the registered model versions, newest first; locally those of all groups."""
    if link:
        _link_all(group, local, local_root, settings)
    if local:
        damaged: list[Exception] = []
        found = model_packages.versions(local_root, damaged.append, group)
        for error in damaged:
            left_out(error)
        if damaged and not found and not as_json:
            return  # what there is was named; that nothing is there yet would be wrong
    else:
        with remote("models", settings, here=Here("models", local_root)) as there:
            name = group or there.workflow.settings.register_model.package_group
            found = registry.list_models(there.sagemaker, name)
    if as_json:
        print_json(found)
        return
    if not found:
        print(f"no models yet; start a run: python pipeline.py start{where(local, settings, local_root)} --wait")
        return
    table = Table("Group", "Version", "Status", "Variant", "Reward accuracy", "Created", box=None)
    table.add_column("Base model", overflow="fold")
    table.add_column("Note", overflow="fold")
    for model in found:
        facts = model.metadata
        table.add_row(
            model.group,
            str(model.version),
            f"{model.approval_status}, champion" if model.champion else model.approval_status,
            facts.get("variant", ""),
            _short(facts.get("reward_accuracy", "")),
            moment(model.created),
            facts.get("base_model", ""),
            escape(model.note or ""),
        )
    stdout().print(table)


def _link_all(group: str | None, local: bool, local_root: Path, settings: Path) -> None:
    with registry_of("models --link", local, local_root, settings, group) as there:
        said = _linked(there, there.versions())
    if not said:
        say(f"{there.group}: no version was tracked in MLflow")


def _linked(there: Registry, versions: Sequence[ModelVersion]) -> list[str]:
    with pulse.working(stderr, "telling MLflow"):
        said = there.link(versions)
    for line in said:
        say(line)
    return said


def approve(
    version: Version,
    note: Note = None,
    group: Group = None,
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """Approve a version; the newest approved one is the champion, which `deploy approved` serves."""
    _decide("approve", "Approved", version, note, group, local, local_root, settings, as_json)


def reject(
    version: Version,
    note: Note = None,
    group: Group = None,
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """Reject a version, an approved one too; an endpoint that serves it goes on until `deploy` or `undeploy`."""
    _decide("reject", "Rejected", version, note, group, local, local_root, settings, as_json)


def _decide(
    verb: str,
    decision: Decision,
    name: str,
    note: str | None,
    group: str | None,
    local: bool,
    local_root: Path,
    settings: Path,
    as_json: bool,
) -> None:
    with registry_of(shlex.join([verb, name]), local, local_root, settings, group, changes=True) as there:
        before = there.find(name)
        if decision == APPROVED:
            _require_files(there, before)
        changes = before.approval_status != decision or note not in (None, before.note)
        changes |= registry.decided(before.metadata, decision) != before.metadata
        if changes:
            # A note belongs to its decision: a new one without a note does not keep the old one's.
            there.decide(before, decision, note or "")
        after = there.find(str(before.version))
        champion = registry.champion(there.statuses())
        if changes:
            _linked(there, [after])
    if as_json:
        print_json(document(after, was=before.approval_status, was_note=before.note, group_champion=champion))
        return
    print(_outcome(before, after, changes, champion))
    if decision == APPROVED and not local:
        print(f"serve it: python pipeline.py deploy {after.version}{there.options}")
    elif decision == APPROVED:
        print(f'ask it something: python pipeline.py try {after.version} "Hello"{there.options}')


def _require_files(there: Registry, version: ModelVersion) -> None:
    """
    Raises:
        UserError: the model's files are gone, so that nothing could serve it, or not those that were registered.
    """
    if version.model_uri is None or not there.exists(version.model_uri):
        raise UserError(
            f"{version.group} version {version.version} cannot be approved: its model is gone "
            f"({version.model_uri or 'the package names none'}); reject it: "
            f"python pipeline.py reject {version.version}{there.options}"
        )
    if not there.check(version):
        say(
            f"{version.group} version {version.version} was registered without a hash of its files: "
            "that they stay as they are cannot be told"
        )


def _outcome(before: ModelVersion, after: ModelVersion, changes: bool, champion: int | None) -> str:
    name = f"{after.group} version {after.version}"
    if not changes:
        said = f", with the note {after.note!r}" if after.note else ""
        return f"{name} is {after.approval_status} already{said}; nothing was changed"
    if before.approval_status == after.approval_status:
        return f"{name} was {after.approval_status} already; its note is now {after.note!r}"
    now = "there is no approved version" if champion is None else f"the champion is version {champion}"
    return f"{name}: {before.approval_status} -> {after.approval_status}; {now}"


def _short(number: str) -> str:
    """A figure of the metadata to four digits; what is no figure stays as it is written."""
    try:
        return f"{float(number):.4f}"
    except ValueError:
        return number
