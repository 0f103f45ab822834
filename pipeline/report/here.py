"""This machine as the source of an execution's page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.aws.executions import StepSummary
from pipeline.errors import UserError
from pipeline.local.state import model_packages, records, step_logs
from pipeline.local.state.store import Store
from pipeline.versions import registry
from pipeline.versions.registry import ModelVersion


class Here:
    """An execution under a local root."""

    local = True

    def __init__(self, root: Path, execution: str) -> None:
        self.refused: list[str] = []  # whoever may read the folder may read all of it
        self._root = root
        self._record = records.load(root, execution)
        self._store = Store(root)

    def definition(self) -> dict[str, Any]:
        return records.load_definition(self._root, self._record.id)

    def properties(self, step: StepSummary) -> Mapping[str, Any]:
        return self._record.step(step.name).properties

    def read(self, uri: str) -> bytes | None:
        return _content(self._store.path(uri))

    def of_failed_job(self, step: StepSummary, output: str, name: str) -> bytes | None:
        job = records.job_folder(self._root, self._record.id, step.name)
        return _content(job / "ml" / "processing" / "output" / output / name)

    def shown(self, uri: str) -> str:
        return self._store.origin(uri) or self._store.origin(uri.rstrip("/")) or str(self._store.path(uri))

    def log(self, step: StepSummary) -> list[str]:
        log = self._record.step(step.name).log
        content = _content(step_logs.here(self._root, log)) if log else None
        return (content or b"").decode("utf-8", errors="replace").splitlines()

    def version(self, arn: str) -> ModelVersion | None:
        return next((one for one in self._versions(None) if one.arn == arn), None)

    def champion(self, group: str) -> int | None:
        return registry.champion({one.version: one.approval_status for one in self._versions(group)})

    def _versions(self, group: str | None) -> list[ModelVersion]:
        """`models` names those whose file is damaged; the page of an execution shows its own."""
        return model_packages.versions(self._root, lambda error: None, group)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
