"""Which checkpoint a run may continue from: a whole one, of this very run.

A checkpoint counts only once its marker stands, written last and renamed into place; the marker carries the run's
fingerprint, so that a checkpoint of other data, another model or other arguments is never resumed.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steps import contract

log = logging.getLogger(__name__)

MARKER = "complete.json"


@dataclass
class Marker:
    """What is written into a finished checkpoint: the run's fingerprint and the held-out figures of its start."""

    fingerprint: str
    facts: dict[str, Any] = field(default_factory=dict)

    def write(self, checkpoint: Path) -> None:
        files = {path.name: path.stat().st_size for path in sorted(checkpoint.iterdir()) if path.name != MARKER}
        value = {"fingerprint": self.fingerprint, "facts": self.facts, "files": files}
        contract.write_json(checkpoint / MARKER, value)


def fingerprint(parts: dict[str, Any]) -> str:
    """A stable hash of everything that decides a run's outcome."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def newest(folder: Path, wanted: str) -> tuple[Path, dict[str, Any]] | None:
    """The newest whole checkpoint of the run `wanted`, with its facts; None to start from the beginning.

    What is passed over is logged with the reason.
    """
    if not folder.is_dir():
        return None
    numbered = [(int(path.name.split("-")[1]), path) for path in folder.glob("checkpoint-*") if _number(path)]
    for _, path in sorted(numbered, reverse=True):
        reason = None
        try:
            marker = json.loads((path / MARKER).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            reason = "it is not whole (its marker is missing)"
        else:
            if marker["fingerprint"] != wanted:
                reason = "it belongs to a run with other data, model or arguments"
            elif any(not (path / name).is_file() or (path / name).stat().st_size != size
                     for name, size in marker["files"].items()):  # fmt: skip
                reason = "files are missing or cut short"
        if reason is None:
            return path, marker["facts"]
        log.warning("%s is passed over: %s", path.name, reason)
    return None


def _number(path: Path) -> bool:
    return path.is_dir() and path.name.removeprefix("checkpoint-").isdigit()
