"""Records of executions: what ran, how it stands, what came of it. One folder each, ROOT/executions/ID.

Only the process that runs an execution writes its record, and holds its lock while it runs; everyone else reads. A lock
ends with its process, whatever ended it: that is how a reader tells a running execution from one whose process died.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import string
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from pipeline.errors import UserError, did_you_mean
from pipeline.files import last_lines, write_bytes, write_json, write_text
from pipeline.local.state import damage
from pipeline.local.state.damage import Damaged
from pipeline.texts import now
from steps.shared.disks import is_full, told
from steps.shared.signs.phases import Phase

ACCOUNT = "arn:aws:sagemaker:local:000000000000"
MLFLOW = "mlflow.db"
HOME = "executions"
DIED = "the process that ran it is gone (killed, or the machine restarted)"
DISK_FULL = "its disk was full, so that not even its end could be written down; make room, then retry"
RESERVE = "reserve"  # a file whose room the record may take when the disk is full
RESERVE_BYTES = 256 * 1024
RUN_LOG = "run.log"  # of a process that runs an execution in the background
START_SECONDS = 60  # a created execution that nobody began to run after this long is not going to start

ExecutionStatus = Literal["Executing", "Stopping", "Stopped", "Failed", "Succeeded"]
StepStatus = Literal["Pending", "Starting", "Executing", "Stopped", "Failed", "Succeeded", "Skipped"]


class StepRecord(BaseModel):
    """One step. Pending: not reached. Skipped: in the branch not taken, or it needed a step that was."""

    name: str
    type: str
    status: StepStatus = "Pending"
    started: datetime | None = None
    ended: datetime | None = None
    attempts: int = 0
    cached: bool = False  # its result is an earlier execution's
    failure_reason: str | None = None
    log: str | None = None  # the job's log; a cached step's is that of the job that once ran
    metrics: dict[str, float] = Field(default_factory=dict)  # the last value of each, while it runs too
    doing: Phase | None = None  # while it runs, what its job told last
    properties: dict[str, Any] = Field(default_factory=dict)  # as AWS's Describe answer has them
    objects: dict[str, dict[str, int]] | None = None  # what a job left in the store: by URI, names with sizes in bytes


class Execution(BaseModel):
    """One execution, its steps in running order."""

    id: str
    pipeline_name: str
    display_name: str | None = None
    parameters: dict[str, str | int | float | bool]
    engine: EngineName = "processes"
    status: ExecutionStatus = "Executing"
    failure_reason: str | None = None
    created: datetime
    ended: datetime | None = None
    pid: int | None = None  # of the process that runs it, or ran it last
    reserve: bool = False  # whether room for its record was set aside
    steps: list[StepRecord]

    @property
    def arn(self) -> str:
        """As AWS names an execution."""
        return f"{self.pipeline_arn}/execution/{self.id}"

    @property
    def pipeline_arn(self) -> str:
        """As AWS names a pipeline."""
        return f"{ACCOUNT}:pipeline/{self.pipeline_name}"

    def step(self, name: str) -> StepRecord:
        """A step by its name.

        Raises:
            UserError: there is none of that name.
        """
        for step in self.steps:
            if step.name == name:
                return step
        names = [step.name for step in self.steps]
        hint = did_you_mean(name, names) or f"; there are {', '.join(names)}"
        raise UserError(f"execution {self.id} has no step {name}{hint}")


def new_id() -> str:
    """12 lowercase letters and digits, as AWS makes them."""
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(12))


def folder(root: Path, execution_id: str) -> Path:
    """The folder of an execution."""
    return root.resolve() / HOME / execution_id


def job_folder(root: Path, execution_id: str, step: str) -> Path:
    """The folder of a step's job: log.txt, request.json, and the job's own tree while it lives or after it failed."""
    return folder(root, execution_id) / "jobs" / step


def mlflow_uri(root: Path) -> str:
    """Where trainings are tracked whose recipe names no MLflow. % and ? have a meaning in such an address."""
    place = str(root.resolve()).replace("%", "%25").replace("?", "%3F")
    return f"sqlite:///{place}/{MLFLOW}"


def create(root: Path, execution: Execution, definition: dict[str, Any]) -> None:
    """Write a new execution with the definition that it will run, all at once, and set room aside for its record.

    Raises:
        UserError: the disk is full.
    """
    execution.reserve = True
    beside = folder(root, f".{execution.id}")
    final = folder(root, execution.id)
    try:
        write_json(beside / "definition.json", definition)
        write_text(beside / "execution.json", execution.model_dump_json(indent=2) + "\n")
        _set_aside(beside)
        os.rename(beside, final)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def save(root: Path, execution: Execution, *, last: bool = True) -> None:
    """Write the record; for the process that holds the lock. On a full disk it takes the room set aside for it.

    Args:
        last: whether it may take that room; not for what can wait, such as a metric.

    Raises:
        OSError: it cannot be written.
    """
    home, text = folder(root, execution.id), execution.model_dump_json(indent=2) + "\n"
    try:
        write_text(home / "execution.json", text)
    except OSError as error:
        if not (last and is_full(error)):
            raise
        (home / RESERVE).unlink(missing_ok=True)
        write_text(home / "execution.json", text)


def set_aside(root: Path, execution: Execution) -> None:
    """Set room aside for the record, so that it tells the truth when the disk is full.

    Raises:
        UserError: there is none.
    """
    _set_aside(folder(root, execution.id))
    execution.reserve = True


def _set_aside(home: Path) -> None:
    file = home / RESERVE
    if not file.exists() or file.stat().st_size < RESERVE_BYTES:
        try:
            write_bytes(file, secrets.token_bytes(RESERVE_BYTES))  # a file system may compress others away
        except OSError as error:
            raise UserError(told(error, file)) from None


def _gave_up(execution: Execution, home: Path) -> bool:
    """Whether the room for the record was needed, and nobody runs it any more who could set it aside again."""
    return execution.reserve and not (home / RESERVE).exists()


def load(root: Path, execution_id: str) -> Execution:
    """An execution as it stands, one whose process died included: that one is Failed.

    Raises:
        UserError: there is no such execution.
    """
    running = is_running(root, execution_id)  # before reading: whoever ends in between has written its last word
    execution = read(root, execution_id)
    if execution.status not in ("Executing", "Stopping") or running:
        return execution
    home = folder(root, execution_id)
    young = execution.pid is None and (now() - execution.created).total_seconds() < START_SECONDS
    return execution if young and not _gave_up(execution, home) else _buried(execution, home)


def read(root: Path, execution_id: str) -> Execution:
    """The record as it was last written, whether or not its process still lives.

    Raises:
        UserError: there is no such execution, or its file is damaged.
    """
    file = folder(root, execution_id) / "execution.json"
    try:
        return damage.read(file, f"execution {execution_id}", Execution.model_validate_json)
    except FileNotFoundError:
        known = _ids(root)
        if execution_id in known:
            raise damage.gone(file, f"execution {execution_id}") from None
        there = f"; the newest is {known[0]}" if known else "; there are none yet"
        hint = did_you_mean(execution_id, known) or there
        raise UserError(f"{root}: there is no execution {execution_id!r}{hint}") from None


def load_definition(root: Path, execution_id: str) -> dict[str, Any]:
    """The definition that an execution runs: the one it was created with, whatever has changed since.

    Raises:
        UserError: its file is damaged, or gone.
    """
    file = folder(root, execution_id) / "definition.json"
    try:
        return damage.read(file, f"the definition of execution {execution_id}", _definition)
    except FileNotFoundError:
        raise UserError(f"{file}: the definition of execution {execution_id} is gone; start another one") from None


def load_all(root: Path, left_out: Callable[[Damaged], None]) -> list[Execution]:
    """Every execution, newest first; `left_out` is told of those whose file is damaged."""
    found = []
    for execution_id in _ids(root):
        try:
            found.append(load(root, execution_id))
        except Damaged as error:
            left_out(error)
    return found


def newest(root: Path) -> Execution:
    """The execution created last.

    Raises:
        UserError: there is none.
    """
    ids = _ids(root)
    if not ids:
        raise UserError(f"{root}: there are no executions yet")
    return load(root, ids[0])


def newest_id(root: Path) -> str | None:
    """The id of the execution created last, whatever its record holds; None where there is none."""
    return next(iter(_ids(root)), None)


@contextlib.contextmanager
def running(root: Path, execution_id: str) -> Iterator[None]:
    """Hold an execution's lock: for the one process that runs it.

    Raises:
        UserError: another process runs it, or its lock cannot be opened.
    """
    file = _lock(root, execution_id)
    try:
        opened = open(file, "a+")  # noqa: SIM115 - closed below; only its opening may fail this way
    except OSError as error:
        raise UserError(
            f"{file}: the lock of execution {execution_id} must be a file that this user may write ({error.strerror}); "
            f"remove it, which harms nothing while the execution does not run, then retry"
        ) from None
    with opened as lock:
        for _ in range(20):  # a reader holds the lock for an instant while it looks
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(0.05)
        else:
            pid = read(root, execution_id).pid
            raise UserError(f"execution {execution_id} is already running, in process {pid}")
        with contextlib.suppress(OSError):  # a full disk: the record has it too, a moment later
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
        yield


def is_running(root: Path, execution_id: str) -> bool:
    """Whether a living process runs it."""
    try:
        with open(_lock(root, execution_id)) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def stop(root: Path, execution_id: str) -> None:
    """Ask the process that runs an execution to end its job and mark it Stopped; does not wait for that.

    Raises:
        UserError: it is not running.
    """
    execution = load(root, execution_id)
    pid = _runner(root, execution_id) or execution.pid
    try:
        if pid is None or not is_running(root, execution_id):
            raise ProcessLookupError
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        status = load(root, execution_id).status
        raise UserError(f"execution {execution_id} is not running, it is {status}") from None


def _runner(root: Path, execution_id: str) -> int | None:
    """The process that holds the lock, or held it last: one that has just begun is not in the record yet."""
    with contextlib.suppress(OSError, ValueError):
        return int(_lock(root, execution_id).read_text(encoding="utf-8"))
    return None


def _lock(root: Path, execution_id: str) -> Path:
    return folder(root, execution_id) / "lock"


def _definition(text: str) -> dict[str, Any]:
    """Raises ValueError where the text is no definition."""
    found = json.loads(text)
    lists = (found.get("Steps"), found.get("Parameters")) if isinstance(found, dict) else (None,)
    if not all(isinstance(one, list) and all(isinstance(entry, dict) for entry in one) for one in lists):
        raise ValueError("it is no definition: an object with lists of Steps and Parameters")
    return found


def _ids(root: Path) -> list[str]:
    home = root.resolve() / HOME
    found = [path for path in home.glob("[!.]*") if path.is_dir()]  # also one whose record is gone, which is then said
    # definition.json is written once, at creation: its time is the execution's age without reading the record.
    return [path.name for path in sorted(found, key=lambda path: _created(path), reverse=True)]


def _created(path: Path) -> tuple[int, str]:
    times = (file.stat().st_mtime_ns for file in (path / "definition.json", path / "execution.json") if file.exists())
    return next(times, 0), path.name


def _buried(execution: Execution, home: Path) -> Execution:
    reason = _why_it_died(execution, home)
    execution.status, execution.failure_reason = "Failed", reason
    execution.ended = execution.created
    for step in execution.steps:
        if step.status in ("Starting", "Executing"):
            step.status, step.failure_reason, step.ended = "Failed", reason, step.started
        execution.ended = max(filter(None, (execution.ended, step.ended)))
    return execution


def _why_it_died(execution: Execution, home: Path) -> str:
    if _gave_up(execution, home):
        return DISK_FULL
    if execution.pid is None and (said := last_lines(home / RUN_LOG, 1)):
        return f"it ended before its first step: {said[0]}"
    return DIED


EngineName = Literal["processes", "docker"]
