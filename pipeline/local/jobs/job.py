"""What Processing and Training jobs have in common: a tree for each node, a run, a reason when it fails."""

from __future__ import annotations

import contextlib
import math
import re
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.files import last_lines
from pipeline.local.jobs import inputs
from pipeline.local.jobs.engine import Engine
from pipeline.local.jobs.nodes import Node, Outcome, StopRequest, run_nodes
from pipeline.local.jobs.platform_variables import Aws
from pipeline.local.plan.support import ML_ROOT
from pipeline.local.state.records import ACCOUNT, MLFLOW, new_id
from pipeline.local.state.store import Store
from pipeline.texts import now
from steps.shared.disks import mount
from steps.shared.signs import phases
from steps.shared.signs.phases import Phase

# Where SageMaker looks for the reason of a failure, and how much of it it shows.
FAILURE_FILES = {"Training": "output/failure", "Processing": "output/message"}
FAILURE_LIMIT = 1024
LOW_BYTES = 2**20  # a disk with less is full for all that a job does


class JobFailed(Exception):
    """The job's own failure; `str(error)` is its reason."""


class JobStopped(Exception):
    """The job was ended because someone asked to stop."""


@dataclass(frozen=True)
class Job:
    """One job about to run, and whom to tell about it."""

    name: str  # as AWS would name the job
    folder: Path
    store: Store
    registry: Path  # the folder of the model packages
    mlflow: str  # where trainings are tracked that name no MLflow themselves
    repository: Path
    engine: Engine
    aws: Aws | None  # what stands for AWS
    stop: StopRequest
    on_start: Callable[[], None]  # its inputs are in place and its processes begin
    on_stop: Callable[[], None]  # its processes were asked to end
    on_metrics: Callable[[Mapping[str, float]], None]
    on_phase: Callable[[Phase], None]  # its log tells what it is doing

    @property
    def log(self) -> Path:
        """Everything that the job's processes print."""
        return self.folder / "log.txt"

    def root(self, node: int) -> Path:
        """What /opt/ml is to a node."""
        return self.folder / ("ml" if node == 0 else f"ml-{node + 1}")

    @property
    def trees(self) -> list[Path]:
        """The nodes' trees that are there."""
        return sorted(self.folder.glob("ml*"))

    def arn(self, kind: str) -> str:
        """As AWS names the job."""
        return f"{ACCOUNT}:{kind}/{self.name}"

    @property
    def scratch(self) -> Path:
        """What the image's variables call /tmp: hub models lie there, once for all jobs of this root."""
        return self.store.folder.parent / "tmp"

    @property
    def writable(self) -> dict[Path, bool]:
        """What of this machine a job may write to, and what not: the local run's own state is as far away as AWS's."""
        root = self.store.folder.parent
        return {root: False, self.scratch: True, root / MLFLOW: True, root / "mlartifacts": True}

    def clear(self) -> None:
        """Remove the nodes' trees, as AWS gives a job's disk back. A failed job's stay, for a look inside."""
        for tree in self.trees:
            shutil.rmtree(tree)


def local_path(path: str, ml: Path) -> Path:
    """A LocalPath of the request, below the job's own root."""
    return ml / Path(path).relative_to(ML_ROOT)


def job_name(execution_id: str, step: str) -> str:
    """As a pipeline on AWS names its jobs, within the 63 characters that a job's name may have."""
    start = f"pipelines-{execution_id}-{step.replace('_', '-')}"[:52].rstrip("-")
    return f"{start}-{new_id()[:10]}"


def run_job(
    job: Job,
    kind: Literal["Training", "Processing"],
    nodes: list[Node],
    limit_seconds: float | None,
    metrics: Mapping[str, re.Pattern[str]] | None = None,
    read_only: Sequence[str] = (),
) -> dict[str, float]:
    """Run the job's processes to the end and return each metric's last value.

    Args:
        read_only: the LocalPaths of its inputs, which it must leave as they are.

    Raises:
        JobFailed: a node failed, the time limit passed, or an input was changed.
        JobStopped: someone asked to stop.
    """
    last: dict[str, float] = {}

    def read(line: str) -> None:
        if phase := phases.read(line):
            job.on_phase(phase)
            return
        values = _values(line, metrics or {})
        if values:
            last.update(values)
            job.on_metrics(values)

    given = [local_path(path, job.root(node)) for node in range(len(nodes)) for path in read_only]
    before = inputs.listing(given)
    job.on_start()
    outcome = run_nodes(
        nodes,
        cwd=job.repository,
        log=job.log,
        stop=job.stop,
        on_line=read,
        on_stop=job.on_stop,
        limit_seconds=limit_seconds,
    )
    if outcome.ending == "stopped":
        raise JobStopped
    if outcome.ending == "timeout":
        raise JobFailed(f"it ran longer than its MaxRuntimeInSeconds ({limit_seconds:g}) and was ended")
    if outcome.ending == "failed":
        raise JobFailed(_reason(job, FAILURE_FILES[kind], nodes, outcome))
    if path := inputs.changed(before, inputs.listing(given)):
        raise JobFailed(f"it changed its input {path}: write to the job's outputs, or to /tmp")
    return last


def runtime_limit(arguments: Mapping[str, Any]) -> float | None:
    """The request's MaxRuntimeInSeconds."""
    return arguments.get("StoppingCondition", {}).get("MaxRuntimeInSeconds")


def times(started: str, kind: str) -> dict[str, str]:
    """The times in a Describe answer; `kind` is Training or Processing."""
    ended = now().isoformat()
    return {"CreationTime": started, f"{kind}StartTime": started, f"{kind}EndTime": ended, "LastModifiedTime": ended}


def _values(line: str, metrics: Mapping[str, re.Pattern[str]]) -> dict[str, float]:
    values = {}
    for name, pattern in metrics.items():
        match = pattern.search(line)
        # A group that took no part in the match, or text that is no number, is no value.
        with contextlib.suppress(TypeError, ValueError):
            if match and math.isfinite(value := float(match[1])):  # AWS's metrics take no NaN either
                values[name] = value
    return values


def _reason(job: Job, name: str, nodes: list[Node], outcome: Outcome) -> str:
    """Why the job failed: what it wrote as its reason; of several, the first written is the cause of the others."""
    written = []
    for node in range(len(nodes)):
        file = job.root(node) / name
        if file.is_file() and (text := file.read_text(encoding="utf-8", errors="replace").strip()):
            written.append((file.stat().st_mtime_ns, text))
    if written:
        return min(written)[1][:FAILURE_LIMIT]
    failed = outcome.first_failed or 0
    prefix = f"node {nodes[failed].host}: " if len(nodes) > 1 else ""
    said = "".join(f": {line}" for line in last_lines(job.log, 1))
    return f"{prefix}{_ended(outcome.codes[failed])}{said}{_no_room(job.folder)}"


def _no_room(folder: Path) -> str:
    """A job that ended on a full disk could not say so."""
    free = shutil.disk_usage(folder).free
    if free >= LOW_BYTES:
        return ""
    return f"; the disk {mount(folder)} has only {free / 1e6:.1f} MB free: make room there, then retry"


def _ended(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
    return f"ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
