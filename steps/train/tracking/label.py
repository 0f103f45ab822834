"""What a run is called in the trackers, and the tags by which it is found there.

A job learns its pipeline from PIPELINE_NAME, which the definition gives, and its execution from the name that Pipelines
gives the job; nothing of an execution may stand in the definition, whose request is the key of the step's cache.
Limits: the commit is known where the code runs from a checkout with git; an image holds none, and says its code's hash
(CODE_VERSION) instead.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steps.train.arguments import TrainArguments

PIPELINE, JOB, JOB_ARN, CODE = "PIPELINE_NAME", "TRAINING_JOB_NAME", "TRAINING_JOB_ARN", "CODE_VERSION"
EXPERIMENT = "dpo"  # of a training outside of a pipeline whose recipe names none
CHECKOUT = Path(__file__).resolve().parents[3]
GIT_SECONDS = 10
_JOB = re.compile(r"pipelines-([a-z0-9]{12})-")  # as Pipelines names its jobs


@dataclass(frozen=True)
class Label:
    """
    Attributes:
        run_name: None where the tracker may choose one.
        pipeline: None outside of a pipeline.
        tags: by name, only those that are known.
    """

    experiment: str
    run_name: str | None
    pipeline: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


def of(arguments: TrainArguments, environment: Mapping[str, str], facts: Mapping[str, Any]) -> Label:
    """
    Args:
        environment: the job's.
        facts: `data_hash` is taken of them, where it is known.
    """
    pipeline = environment.get(PIPELINE)
    job = environment.get(JOB, "")
    found = _JOB.match(job)
    execution = found[1] if found and pipeline else None
    known = {
        "pipeline": pipeline,
        "execution": execution,
        "execution_arn": _execution_arn(environment.get(JOB_ARN, ""), pipeline, execution),
        "job": job,
        "data_hash": facts.get("data_hash"),
        "base_model": arguments.base_model_name or arguments.model_id,
        "base_commit": arguments.model_revision,
        "code_version": environment.get(CODE),
        "commit": commit(CHECKOUT),
    }
    own_name = f"{pipeline} {execution}" if execution else None
    return Label(
        experiment=arguments.mlflow_experiment_name or pipeline or EXPERIMENT,
        run_name=arguments.run_name or own_name,
        pipeline=pipeline,
        tags={name: str(value) for name, value in known.items() if value},
    )


def _execution_arn(job_arn: str, pipeline: str | None, execution: str | None) -> str | None:
    account = job_arn.partition(":training-job/")[0]
    return f"{account}:pipeline/{pipeline}/execution/{execution}" if account and execution else None


def commit(checkout: Path) -> str | None:
    """The commit that the code is of; with `-dirty` behind it where files differ from it, None without git."""
    if not (checkout / ".git").exists():
        return None
    words = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
