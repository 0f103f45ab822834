"""The versions of a local registry in MLflow, and the version that an execution has registered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.local.outputs import Outputs
from pipeline.local.state import model_packages, records
from pipeline.local.state.records import Execution
from pipeline.local.state.store import Store
from pipeline.versions import linked, registry
from pipeline.versions.linked import Tracked
from pipeline.versions.registry import ModelVersion
from steps.gate.tracked import SQLITE
from steps.register.repeat import EXECUTION


def link(root: Path, versions: Sequence[ModelVersion], champion: int | None, again: str) -> list[str]:
    """Tell MLflow of versions of one group; what came of it, in lines. Arguments as for `linked.link`."""
    known = [one for version in versions if (one := tracked(root, version))]
    if any(one.uri.startswith(SQLITE) for one in known) and not (root / records.MLFLOW).is_file():
        return [f"mlflow: {root / records.MLFLOW} is gone, so that it is not told of the versions"]
    return linked.link(known, champion, again, lambda uri: None)


def tracked(root: Path, version: ModelVersion) -> Tracked | None:
    """A version with its run. In SQLite the tracker is the root's own, wherever that was moved to, and the source is a
    folder of this machine, which MLflow can then read; a server takes none, and is told the URI of the local store."""
    one = linked.tracked(version)
    if one is None or not one.uri.startswith(SQLITE):
        return one
    folder = Store(root).path(one.source).resolve()
    return replace(one, uri=records.mlflow_uri(root), source=folder.as_uri())


def of_execution(root: Path, execution: Execution, options: object) -> list[str]:
    """The same of the version that an execution has registered; nothing where it registered none, or met one that was
    there before: MLflow was told of that then.

    Args:
        options: of the command that tries again, as for `linked.again`.
    """
    found = Outputs(root, execution).registered()
    if found is None:
        return []
    everyone = model_packages.versions(root, lambda damaged: None, str(found["group"]))
    versions = {one.version: one for one in everyone}
    own = versions.get(found["version"])
    if own is None or not own.metadata.get(EXECUTION, "").endswith(f"/{execution.id}"):
        return []
    champion = registry.champion({number: one.approval_status for number, one in versions.items()})
    wanted = [one for number, one in versions.items() if number in (found["version"], champion)]
    return link(root, wanted, champion, linked.again(options))
