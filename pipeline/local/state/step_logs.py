"""The logs that steps leave on this machine: which file a step's is, and reading it to its end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import UserError
from pipeline.local.state import records
from pipeline.local.state.records import HOME, Execution, StepRecord

POLL_SECONDS = 0.5


def lines(root: Path, execution_id: str, step: str | None, *, follow: bool) -> Iterator[str]:
    """The lines of a step's log; `follow`: go on until its job has ended.

    Raises:
        UserError: there is no such execution or step, or it has no log.
    """
    record = _logged(records.load(root, execution_id), step)
    path = here(root, record.log or "")
    if not path.is_file():
        raise UserError(f"{path}: the log of step {record.name} is gone")
    with open(path, encoding="utf-8", errors="replace") as file:
        while True:
            ended = not _writes(records.load(root, execution_id), record.log)
            while line := file.readline():
                yield line.rstrip("\n")
            if ended or not follow:
                return
            time.sleep(POLL_SECONDS)


def _logged(execution: Execution, step: str | None) -> StepRecord:
    """The step of that name; without one the one that failed, otherwise the last one that has a log."""
    if step is not None:
        record = execution.step(step)
        if record.log is None:
            raise UserError(f"step {record.name} has no log: {record.type}, {record.status}")
        return record
    logged = [record for record in execution.steps if record.log]
    failed = [record for record in logged if record.status == "Failed"]
    if not logged:
        raise UserError(f"execution {execution.id} has no logs yet")
    return (failed or logged)[-1]


def here(root: Path, log: str) -> Path:
    """Where a log lies: where its step wrote it, or at its place in the root, which has been moved since."""
    path = Path(log)
    # The last one: a folder above the root may have the same name.
    inside = path.parts[len(path.parts) - 1 - path.parts[::-1].index(HOME) :] if HOME in path.parts else ()
    return path if path.is_file() or not inside else root.resolve().joinpath(*inside)


def _writes(execution: Execution, log: str | None) -> bool:
    """Whether a step that runs now writes that log."""
    running = ("Starting", "Executing")
    return any(record.log == log and record.status in running for record in execution.steps)
