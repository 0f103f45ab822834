"""The logs that steps leave on this machine: which file a step's is, and reading it to its end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import UserError
from pipeline.local.state import records
from pipeline.local.state.records import Execution

POLL_SECONDS = 0.5


def lines(root: Path, execution_id: str, step: str | None, *, follow: bool) -> Iterator[str]:
    """The lines of a step's log; `follow`: go on until its job has ended.

    Raises:
        UserError: there is no such execution or step, or it has no log.
    """
    path = _file(records.load(root, execution_id), step)
    with open(path, encoding="utf-8", errors="replace") as file:
        while True:
            ended = not _writes(records.load(root, execution_id), path)
            while line := file.readline():
                yield line.rstrip("\n")
            if ended or not follow:
                return
            time.sleep(POLL_SECONDS)


def _file(execution: Execution, step: str | None) -> Path:
    """The log of a step; without a name that of the failed one, otherwise of the last one that has a log."""
    if step is not None:
        record = execution.step(step)
        if record.log is None:
            raise UserError(f"step {record.name} has no log: {record.type}, {record.status}")
        return Path(record.log)
    logged = [record for record in execution.steps if record.log]
    failed = [record for record in logged if record.status == "Failed"]
    if not logged:
        raise UserError(f"execution {execution.id} has no logs yet")
    return Path((failed or logged)[-1].log or "")


def _writes(execution: Execution, log: Path) -> bool:
    """Whether a step that runs now writes that log."""
    running = ("Starting", "Executing")
    return any(record.log == str(log) and record.status in running for record in execution.steps)
