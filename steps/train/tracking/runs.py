"""Which runs in MLflow and W&B belong to a training: kept beside its checkpoints, so that a restart continues them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from steps.shared import contract
from steps.train.arguments import TrainArguments
from steps.train.tracking.label import EXPERIMENT, Label
from steps.train.tracking.mlflow_run import MlflowRun
from steps.train.tracking.outbox import Delivery
from steps.train.tracking.settings import without_password
from steps.train.tracking.tracker import Status, Tracker
from steps.train.tracking.wandb_run import WandbRun

STATE = "trackers.json"
WHAT = "the record of the trackers' runs"


@dataclass
class State:
    """Which runs in the trackers belong to a training."""

    fingerprint: str
    key: str
    mlflow_run_id: str | None = None
    wandb_run_id: str = ""
    arguments: dict[str, str | None] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    pipeline: str | None = None
    status: Status = "KILLED"  # how the training ended; until it does, what a process that is killed leaves behind

    @classmethod
    def of(cls, folder: Path, fingerprint: str, arguments: TrainArguments, label: Label) -> State:
        """The state beside the checkpoints, or a new one where there is none of this very run."""
        named = {
            "mlflow_uri": arguments.mlflow_uri,
            "mlflow_experiment_name": label.experiment,
            "wandb_project": arguments.wandb_project,
            "run_name": label.run_name,
        }
        if (folder / STATE).is_file():
            found = cls(**contract.read_json(folder / STATE, WHAT))
            if found.fingerprint == fingerprint:
                found.arguments, found.status = named, "KILLED"
                found.tags, found.pipeline = label.tags, label.pipeline
                return found
        key = uuid.uuid4().hex
        return cls(fingerprint, key, wandb_run_id=key[:16], arguments=named, tags=label.tags, pipeline=label.pipeline)

    def note(self, run_ids: Mapping[str, str | None]) -> bool:
        """Take down the ids that trackers gave their runs, by the trackers' names; whether any of them is new."""
        mlflow = run_ids.get("mlflow", self.mlflow_run_id)
        is_new = mlflow != self.mlflow_run_id  # W&B's is chosen here and never changes
        self.mlflow_run_id = mlflow
        return is_new

    def write(self, folder: Path) -> None:
        """Without the password that an address may hold: checkpoints are copied about."""
        uri = self.arguments["mlflow_uri"]
        arguments = self.arguments | {"mlflow_uri": without_password(uri) if uri else None}
        contract.write_json(folder / STATE, asdict(self) | {"arguments": arguments})


def open_trackers(state: State, folder: Path) -> list[Delivery]:
    """A delivery, not yet started, for each tracker that the training named."""
    given = state.arguments
    found: list[Tracker] = []
    if uri := given["mlflow_uri"]:
        experiment = given["mlflow_experiment_name"] or EXPERIMENT
        found.append(MlflowRun(uri, experiment, given["run_name"], state.key, state.mlflow_run_id, state.tags))
    if project := given["wandb_project"]:
        found.append(WandbRun(project, given["run_name"], state.wandb_run_id, folder, state.pipeline, state.tags))
    return [Delivery(one, folder / f"tracking-buffer-{one.name}-{state.fingerprint}.jsonl") for one in found]


def load_state(folder: Path) -> State:
    """The state that a training left beside its checkpoints.

    Raises:
        StepError: there is no trackers.json in the folder.
    """
    return State(**contract.read_json(folder / STATE, WHAT))
