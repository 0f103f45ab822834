"""A run in MLflow: in SQLite, on a server, or on a SageMaker tracking server by its ARN (plugin sagemaker-mlflow)."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from steps.shared import contract
from steps.train.tracking.mlflow_client import connect
from steps.train.tracking.settings import SQLITE, is_address, login, without_password
from steps.train.tracking.tracker import Entry, Refused, Status

log = logging.getLogger("train")

# Limits of one request, and of a parameter's value: 500 characters is what servers before MLflow 2.10 take.
METRICS_A_BATCH, PARAMS_A_BATCH, PARAM_LENGTH = 1000, 100, 500
KEY_TAG = "dpo.run"  # finds the run again when the answer to its creation was lost
NEVER = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "MALFORMED_REQUEST"}
REPORT = "data/report.json"
# MLflow's pages show these as what made the run, and the commit as its version.
SOURCE_TAGS = {"job": "mlflow.source.name", "commit": "mlflow.source.git.commit"}
TABLES_TAG = "mlflow.loggedArtifacts"  # which artifacts MLflow's page of evaluations shows as tables


class MlflowRun:
    """A Tracker (tracker.py)."""

    name = "mlflow"

    def __init__(
        self,
        uri: str,
        experiment: str,
        run_name: str | None,
        key: str,
        run_id: str | None = None,
        tags: Mapping[str, str] | None = None,
    ):
        self.uri, self.experiment, self.run_name, self.key = without_password(uri), experiment, run_name, key
        self._login = login(uri)
        self.run_id = run_id
        self._tags = tags_of(tags or {})
        self._experiment_id: str | None = None
        self._client: Any = None
        self._told: dict[str, int] = {}  # the last step of every figure that the run has

    def open(self) -> None:
        client = connect(self.uri, self._login)
        found = client.get_experiment_by_name(self.experiment)
        experiment = found.experiment_id if found else client.create_experiment(self.experiment, self._artifacts())
        self.run_id = self._existing(client, experiment) or self._create(client, experiment)
        self._experiment_id = experiment
        self._client = client

    def _artifacts(self) -> str | None:
        """Where the experiment's artifacts lie: beside an SQLite file; MLflow itself would take the working folder."""
        if not self.uri.startswith(SQLITE):
            return None
        file = unquote(self.uri.removeprefix(SQLITE).partition("?")[0])
        return (Path(file).resolve().parent / "mlartifacts").as_uri()

    def _existing(self, client: Any, experiment: str) -> str | None:
        """The id of this run where the server has it, which it then takes up again."""
        runs = client.search_runs([experiment], filter_string=f"tags.`{KEY_TAG}` = '{self.key}'", max_results=1)
        if not runs:
            return None
        from mlflow.entities import RunTag

        known = runs[0].data.tags
        new = [RunTag(name, value) for name, value in self._tags.items() if known.get(name) != value]
        if new:  # another execution goes on with it, from the same checkpoints
            client.log_batch(runs[0].info.run_id, tags=new)
        client.update_run(runs[0].info.run_id, status="RUNNING", name=self.run_name)
        self._told = {one.key: one.step for one in runs[0].data.to_proto().metrics}
        return str(runs[0].info.run_id)

    def _create(self, client: Any, experiment: str) -> str:
        if self.run_id:
            log.warning("mlflow: run %s of the earlier start is not there any more; a new one begins", self.run_id)
        run = client.create_run(experiment, tags={KEY_TAG: self.key} | self._tags, run_name=self.run_name)
        return str(run.info.run_id)

    def send(self, entry: Entry) -> None:
        from mlflow.exceptions import MlflowException

        try:
            tell = {
                "params": self._params,
                "metrics": self._metrics,
                "report": self._report,
                "text": self._artifact,
                "table": self._table,
            }
            tell[entry.kind](entry)
        except MlflowException as error:
            if error.error_code in NEVER:
                raise Refused(contract.first_line(error)) from None
            raise

    def close(self, status: Status) -> None:
        self._client.set_terminated(self.run_id, status)

    def place(self) -> dict[str, Any]:
        """`url` is the run's page, where the address is a server's own."""
        place = {"uri": self.uri, "experiment": self.experiment}
        if is_address(self.uri) and self._experiment_id and self.run_id:
            home = self.uri.rstrip("/")
            place |= {"url": f"{home}/#/experiments/{self._experiment_id}/runs/{self.run_id}"}
        return place

    def sync_commands(self, *, closed: bool) -> list[str]:
        """None: the client keeps nothing."""
        return []

    def _params(self, entry: Entry) -> None:
        """Parameters never change in MLflow; one that a restart changed is a tag beside the first value."""
        from mlflow.entities import Param, RunTag

        there = self._client.get_run(self.run_id).data.params
        given = {key: _text(value) for key, value in entry.values.items()}
        new = [Param(key, value) for key, value in given.items() if key not in there]
        changed = [RunTag(f"changed.{key}", value) for key, value in given.items() if there.get(key, value) != value]
        for start in range(0, len(new), PARAMS_A_BATCH):
            self._client.log_batch(self.run_id, params=new[start : start + PARAMS_A_BATCH])
        if changed:
            self._client.log_batch(self.run_id, tags=changed)

    def _metrics(self, entry: Entry) -> None:
        """A step that a restart repeats, from the checkpoint to where the earlier start ended, is told once."""
        from mlflow.entities import Metric

        new = {key: value for key, value in entry.values.items() if entry.step > self._told.get(key, -1)}
        figures = [Metric(key, value, entry.milliseconds, entry.step) for key, value in new.items()]
        for start in range(0, len(figures), METRICS_A_BATCH):
            self._client.log_batch(self.run_id, metrics=figures[start : start + METRICS_A_BATCH])
        self._told |= dict.fromkeys(new, entry.step)

    def _report(self, entry: Entry) -> None:
        self._store(self._client.log_dict, entry.values, REPORT)

    def _artifact(self, entry: Entry) -> None:
        for name, text in entry.values.items():
            self._store(self._client.log_text, text, name)

    def _table(self, entry: Entry) -> None:
        """As `MlflowClient.log_table` does, but for its adding to the rows that are there: an entry may come twice."""
        for name, table in entry.values.items():
            self._store(self._client.log_dict, table, name)
        tables = [{"path": name, "type": "table"} for name in entry.values]
        self._client.set_tag(self.run_id, TABLES_TAG, json.dumps(tables))

    def _store(self, log: Callable[[str | None, Any, str], None], content: Any, name: str) -> None:
        """An artifact lies in another store than the run; where that one fails the run must not wait for it."""
        try:
            log(self.run_id, content, name)
        except Exception as error:  # boto3, azure, the disk: every artifact store raises its own
            raise Refused(f"{name} cannot be stored: {contract.first_line(error)}") from None


def tags_of(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags of a run as MLflow is told them: what it has a name of its own for, by that one too."""
    return dict(tags) | {name: tags[own] for own, name in SOURCE_TAGS.items() if own in tags}


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= PARAM_LENGTH else text[: PARAM_LENGTH - 1] + "…"  # manifest.json has the whole
