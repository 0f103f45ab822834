"""What a local run leaves beside its objects: the trees of failed jobs, and what its trackers got.

Limits: knows the folders that local runs write; copies that somebody made elsewhere are not known.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from pipeline.aws.executions import RUNNING
from pipeline.errors import UserError
from pipeline.files import write_bytes
from pipeline.forgetting.places import Here
from pipeline.forgetting.runs import without_quotes
from pipeline.local.state import conversations, records
from pipeline.local.state.damage import Damaged
from pipeline.local.state.store import Store
from steps.gate.tracked import ACCOUNT

ARTIFACTS = "mlartifacts"
ANSWERS, REPORT = "answers.json", "data/report.json"  # what a training tells MLflow that quotes rows, beside its pages


def place(root: Path, pipeline: str, base_uri: str) -> Here:
    """A pipeline's captures, feedback and runs under a local root."""
    return Here(
        {
            "captures": conversations.captures(root, pipeline),
            "feedback": conversations.feedback(root, pipeline),
            "runs": Store(root).path(f"{base_uri}/runs"),
        }
    )


def executions(root: Path, pipeline: str) -> list[str]:
    """The pipeline's executions; one whose record is damaged may be its too.

    Raises:
        UserError: one of them runs.
    """
    damaged: list[Damaged] = []
    found = [one for one in records.load_all(root, damaged.append) if one.pipeline_name == pipeline]
    for one in found:
        if one.status in RUNNING:
            raise running(one.id)
    return [one.id for one in found]


def running(execution: str) -> UserError:
    """What has read a row would write it again."""
    return UserError(
        f"execution {execution} is running and would leave what it has read; wait for its end or stop it, then forget"
    )


def tracked(left: Here, runs: Iterable[str]) -> set[str]:
    """The runs of MLflow that these executions told of their rows."""
    found = set()
    for run in runs:
        names = [name for name in left.names(f"runs/{run}") if name.endswith(f"/{ACCOUNT}")]
        for _, content in left.contents(names):
            run_id = json.loads(content).get("mlflow", {}).get("run_id")
            found |= {run_id} if isinstance(run_id, str) else set()
    return found


def clear(root: Path, runs: Iterable[str], tracked: Iterable[str]) -> None:
    """Remove the trees of these executions' failed jobs, and what quotes rows in these runs of MLflow."""
    for run in runs:
        for tree in records.folder(root, run).glob("jobs/*/ml*"):
            shutil.rmtree(tree)
    for run_id in tracked:
        artifacts = root / ARTIFACTS / run_id / "artifacts"
        for quoting in (artifacts / ANSWERS, *artifacts.rglob("*.html")):
            quoting.unlink(missing_ok=True)
        report = artifacts / REPORT
        if report.is_file():
            write_bytes(report, without_quotes(report.read_bytes()))
