"""Which shards of which merge are finished: a file beside them, so that a run that was killed goes on from there.

A journal counts only for the same base, by the identity of its files, the same adapter, by its content, and the same
torch; and of the shards that it names only those that have the hash it gives.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from steps.merge.fit.adapter import CONFIG, Adapter
from steps.merge.fit.base import Base
from steps.shared import contract

JOURNAL = "journal.json"


def identity(base: Base, adapter: Adapter) -> dict[str, Any]:
    """What decides the bytes of a merge. A file's number and time of change stand for its content."""
    import torch

    files = {shard.path.name: shard.path.stat() for shard in base.shards}
    return {
        "base": {"folder": str(base.folder.resolve()), "revision": base.revision},
        "shards": {name: [found.st_size, found.st_ino, found.st_ctime_ns] for name, found in files.items()},
        "adapter": [contract.sha256(adapter.weights), contract.sha256(adapter.folder / CONFIG)],
        "torch": torch.__version__,
    }


class Journal:
    """The journal of one merge in its staging folder."""

    def __init__(self, staging: Path, who: dict[str, Any]) -> None:
        self._path, self._identity = staging / JOURNAL, who
        self.finished: dict[str, str] = {}  # sha256 by the shard's name

    def recall(self) -> bool:
        """Take up what an earlier run of the same merge finished; whether there was a run of another one."""
        if not self._path.parent.is_dir():
            return False
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError, RecursionError):
            return True
        finished = content.get("shards") if isinstance(content, dict) else None
        if not isinstance(finished, dict) or content.get("identity") != self._identity:
            return True
        for name, digest in finished.items():
            path = self._path.with_name(name)
            if path.is_file() and contract.sha256(path) == digest:
                self.finished[name] = digest
        return False

    def record(self, name: str, digest: str) -> None:
        """A shard is finished."""
        self.finished[name] = digest
        contract.write_json(self._path, {"identity": self._identity, "shards": self.finished})
