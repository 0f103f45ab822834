"""What the account test has seen: the answers of AWS and the commands, as plain JSON, which the questions read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

JOBS = {
    "Training": ("describe_training_job", "TrainingJobName"),
    "Processing": ("describe_processing_job", "ProcessingJobName"),
}


@dataclass
class Seen:
    """One execution.

    Attributes:
        status: what `status --json` says: status, failure_reason and steps.
        jobs: step -> what AWS says of its job.
        package: the version that it registered, as DescribeModelPackage answers.
    """

    status: dict[str, Any]
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    package: dict[str, Any] | None = None

    @property
    def ended(self) -> str:
        """`Succeeded`, or as it ended otherwise, with the reason."""
        reason = self.status.get("failure_reason")
        return f"{self.status['status']}: {reason}" if reason else str(self.status["status"])

    def step(self, name: str) -> dict[str, Any] | None:
        """A step that it has reached, or None."""
        return next((step for step in self.status["steps"] if step["name"] == name), None)


@dataclass
class Evidence:
    """All of it.

    Attributes:
        said: what a command said, by the word that the scenario gives it: exit code and the end of its stderr.
        schedules: what `schedules --json` lists while there is one.
        texts: files that a job wrote, by `EXECUTION/file`.
    """

    name: str
    executions: dict[str, Seen] = field(default_factory=dict)
    said: dict[str, tuple[int, str]] = field(default_factory=dict)
    schedules: list[dict[str, Any]] | None = None
    texts: dict[str, Any] = field(default_factory=dict)
    definition: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write it down, for whoever asks later."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1, default=str) + "\n", encoding="utf-8")


def job(sagemaker: Any, step: Mapping[str, Any]) -> dict[str, Any] | None:
    """What AWS says of a step's job; None of a step without one."""
    if not step.get("job_name") or step["type"] not in JOBS:
        return None
    call, member = JOBS[step["type"]]
    return getattr(sagemaker, call)(**{member: step["job_name"]})


def billed_seconds(job: Mapping[str, Any]) -> float:
    """How long a job was paid for."""
    if "BillableTimeInSeconds" in job:
        return float(job["BillableTimeInSeconds"])
    for kind in ("Training", "Processing"):
        begun, ended = job.get(f"{kind}StartTime"), job.get(f"{kind}EndTime")
        if begun and ended:
            return (ended - begun).total_seconds()
    return 0.0


def instance_of(job: Mapping[str, Any]) -> str:
    """The type of a job's instances."""
    cluster = job.get("ResourceConfig") or job["ProcessingResources"]["ClusterConfig"]
    return str(cluster["InstanceType"])


def dollars(evidence: Evidence, prices: Mapping[str, float]) -> float:
    """What the jobs that ran have cost, by their billed seconds; a step from the cache ran none."""
    jobs = {}
    for seen in evidence.executions.values():
        for step in seen.status["steps"]:
            found = seen.jobs.get(step["name"])
            if found and not step["cached"]:
                jobs[step["job_name"]] = billed_seconds(found) / 3600 * prices[instance_of(found)]
    return sum(jobs.values())
