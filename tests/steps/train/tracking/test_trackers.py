"""Trackers as a training meets them: read back through their own clients, continued by a restart, down, killed."""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import json
import logging
import os
import shutil
import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pipeline.local.jobs.platform_variables import Aws, of_the_platform
from pipeline.local.state.records import mlflow_uri
from steps.shared.contract import StepError
from steps.train.arguments import TrainArguments
from steps.train.tracking import callback, final, versions
from steps.train.tracking.label import Label
from steps.train.tracking.mlflow_client import connect
from steps.train.tracking.mlflow_run import MlflowRun
from steps.train.tracking.outbox import Delivery, read_buffer
from steps.train.tracking.runs import STATE, State, open_trackers
from steps.train.tracking.settings import check, fault, login, shown, with_default, without_password
from steps.train.tracking.tracker import Entry, Refused
from steps.train.tracking.wandb_run import WandbRun
from tests import judged
from tests.forks.client import Forked
from tests.pipeline import moto_server
from tests.steps.train import wandb_files
from tests.steps.train.runs import judged_run

KEY = "0123456789abcdef"
NOWHERE = Label("dpo", None)
JOB = {"PIPELINE_NAME": "dpo-quickstart", "TRAINING_JOB_NAME": "pipelines-ly8a8f44wnlv-Train-x1y2z3w4v5"}


def client(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def runs(uri: str, experiment: str = "dpo") -> list[Any]:
    found = client(uri)
    return list(found.search_runs([found.get_experiment_by_name(experiment).experiment_id]))


@pytest.fixture
def database(empty_database: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(empty_database, tmp_path / 'mlflow.db')}"


# Settings


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        (
            "arn:aws:s3:::bucket",
            "mlflow_uri: arn:aws:s3:::bucket: is not the ARN of a tracking server, "
            "arn:aws:sagemaker:REGION:ACCOUNT:mlflow-tracking-server/NAME",
        ),
        (
            "ftp://me:secret@host/x",
            "mlflow_uri: ftp://host/x: write sqlite:///FILE, http(s)://HOST or a tracking server's ARN",
        ),
        (
            "https://host/x?token=secret",
            "mlflow_uri: https://host/x: leave out what stands behind ? or #: it would be read in every log; a "
            "password or token belongs in MLFLOW_TRACKING_PASSWORD or MLFLOW_TRACKING_TOKEN (one in the address needs "
            "%3F and %23 instead)",
        ),
        (
            "https://me:sec/ret@host",
            "mlflow_uri: is not the address of a server: write http(s)://HOST or http(s)://HOST:PORT (a password needs "
            "%2F, %40)",
        ),
    ],
)
def test_an_address_that_nothing_can_speak_to_is_said_at_once(uri: str, said: str) -> None:
    with pytest.raises(StepError) as error:
        check(TrainArguments(model_id="m", mlflow_uri=uri))
    assert str(error.value) == said


@pytest.mark.parametrize("name", ["o'brien", "100%25", "why?"])
def test_a_database_lies_where_its_root_does_whatever_that_is_called(
    empty_database: Path, name: str, tmp_path: Path
) -> None:
    root = tmp_path / name
    root.mkdir()
    shutil.copy(empty_database, root / "mlflow.db")
    uri = mlflow_uri(root)
    run = MlflowRun(uri, "dpo", None, KEY)
    run.open()
    run.send(Entry("text", {"README.md": "card"}))
    assert (root / "mlartifacts").is_dir() and len(runs(uri)) == 1


@pytest.mark.parametrize(
    ("missing", "named", "said"),
    [
        (
            "sagemaker_mlflow",
            {"mlflow_uri": "arn:aws:sagemaker:eu-west-1:123456789012:mlflow-tracking-server/t"},
            "an ARN needs the package sagemaker-mlflow; pip install sagemaker-mlflow, or add it to the training image "
            "(containers/training/requirements.txt)",
        ),
        ("mlflow", {"mlflow_uri": "sqlite:///x.db"}, "the package mlflow is not installed"),
        ("wandb", {"wandb_project": "p"}, "the package wandb is not installed"),
    ],
)
def test_a_missing_package_stops_before_training(
    missing: str, named: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = importlib.util.find_spec
    check(TrainArguments(model_id="m", **named))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else there(name))
    with pytest.raises(StepError, match=said.replace("(", r"\(").replace(")", r"\)")):
        check(TrainArguments(model_id="m", **named))


def test_a_password_in_an_address_is_never_shown_or_kept(tmp_path: Path) -> None:
    assert without_password("https://me:secret@host:5000/x") == "https://host:5000/x"
    assert without_password("sqlite:////tmp/a@b.db") == "sqlite:////tmp/a@b.db"
    assert login("https://me:s%40cret@host") == ("me", "s@cret")
    assert login("https://me@host") is None and login("sqlite:////tmp/a:b@c.db") is None
    arguments = TrainArguments(model_id="m", mlflow_uri="https://me:secret@host")
    assert shown(arguments) == arguments.model_dump(mode="json") | {"mlflow_uri": "https://host"}
    state = State.of(tmp_path, "f", arguments, NOWHERE)
    state.write(tmp_path)
    assert state.arguments["mlflow_uri"] == "https://me:secret@host"
    assert "secret" not in (tmp_path / STATE).read_text()


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("mlflow:planted@mlflow.test:5000", "mlflow.test:5000"),
        ("https:/me:planted@host", "host"),
        ("me:planted@host/?token=planted", "host/"),
        ("host/?token=planted", "host/"),
        ("me:planted://planted@host", "host"),
        ("arn:planted@host#planted", "host"),
    ],
)
def test_a_damaged_address_tells_no_secret_either(uri: str, told: str) -> None:
    assert without_password(uri) == told
    assert (fault(uri) or "").startswith(f"{told}: ") and "planted" not in (fault(uri) or "")


class Refusing(BaseHTTPRequestHandler):
    """A tracking server that notes who asks and refuses everyone."""

    asked: ClassVar[list[Mapping[str, str]]] = []

    def do_GET(self) -> None:
        self.asked.append(self.headers)
        self.send_error(403)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def refusing() -> Iterator[int]:
    """The port of a server that refuses everyone."""
    Refusing.asked.clear()
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_the_server_gets_the_password_and_the_error_has_none(
    refusing: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from mlflow.exceptions import MlflowException

    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "another's")
    run = MlflowRun(f"http://me:s%40cret@127.0.0.1:{refusing}", "dpo", None, KEY)
    with pytest.raises(MlflowException) as error:
        run.open()
    assert [asked["Authorization"] for asked in Refusing.asked] == [f"Basic {base64.b64encode(b'me:s@cret').decode()}"]
    assert "cret" not in str(error.value) + run.uri
    assert caplog.messages == []  # nothing of the plugin for SageMaker's servers, whose ARN this is not


@pytest.mark.parametrize(
    ("resource", "header"),
    [("mlflow-tracking-server/t", "x-mlflow-sm-tracking-server-arn"), ("mlflow-app/app-1", "x-sm-mlflow-app-arn")],
)
def test_the_arn_of_a_recipe_reaches_sagemakers_server_signed(
    resource: str, header: str, refusing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what a job finds on SageMaker: its region, and an address for credentials. The plugin's own variable for its
    endpoint leads it to a server of this test; SageMaker's was not asked."""
    import mlflow
    from mlflow.exceptions import MlflowException

    arn = f"arn:aws:sagemaker:eu-west-1:123456789012:{resource}"
    for name in [name for name in os.environ if name.startswith(("AWS_", "MLFLOW_TRACKING"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT", f"http://127.0.0.1:{refusing}")
    with moto_server.credentials() as address, pytest.raises(MlflowException, match="403"):
        for name, value in of_the_platform("image", Aws("http://127.0.0.1:1", address)).items():
            monkeypatch.setenv(name, value)
        MlflowRun(arn, "dpo", None, KEY).open()
    mlflow.set_tracking_uri(None)  # which is the whole process's
    assert [asked[header] for asked in Refusing.asked] == [arn]
    (signature,) = (asked["Authorization"] for asked in Refusing.asked)
    assert signature.startswith("AWS4-HMAC-SHA256 Credential=test/") and "/eu-west-1/sagemaker" in signature


def test_a_run_is_continued_by_its_own_fingerprint_only(tmp_path: Path) -> None:
    arguments = TrainArguments(model_id="m", mlflow_uri="sqlite:///x.db")
    first = State.of(tmp_path, "one", arguments, NOWHERE)
    first.mlflow_run_id = "7"
    first.write(tmp_path)
    again, other = State.of(tmp_path, "one", arguments, NOWHERE), State.of(tmp_path, "two", arguments, NOWHERE)
    assert (again.key, again.wandb_run_id, again.mlflow_run_id) == (first.key, first.wandb_run_id, "7")
    assert other.key != first.key and other.mlflow_run_id is None


# MLflow


@pytest.mark.parametrize(
    ("named", "environment", "meant"),
    [
        (None, {}, None),
        (None, {"MLFLOW_TRACKING_URI": "sqlite:///a.db"}, "sqlite:///a.db"),
        ("sqlite:///b.db", {"MLFLOW_TRACKING_URI": "sqlite:///a.db"}, "sqlite:///b.db"),
        ("none", {"MLFLOW_TRACKING_URI": "sqlite:///a.db"}, None),
    ],
)
def test_the_recipe_says_which_mlflow_and_the_environment_where_it_does_not(named, environment, meant) -> None:
    assert with_default(TrainArguments(model_id="m", mlflow_uri=named), environment).mlflow_uri == meant


def test_parameters_metrics_and_the_report_are_read_back(database: str) -> None:
    run = MlflowRun(database, "dpo", "named", KEY)
    run.open()
    run.send(Entry("params", {"beta": 0.1, "loss_type": ["sigmoid"], "long": "x" * 900}))
    run.send(Entry("metrics", {"loss": 0.7, "system/node1/gpu3/power_w": 310.5}, 1, milliseconds=5))
    run.send(Entry("metrics", {"loss": float("nan")}, 2))
    run.send(Entry("report", {"rows": 3}))
    run.close("FINISHED")
    (found,) = runs(database)
    assert found.info.run_name == "named" and found.info.status == "FINISHED"
    assert found.data.params == {"beta": "0.1", "loss_type": '["sigmoid"]', "long": "x" * 499 + "…"}
    assert found.data.metrics["system/node1/gpu3/power_w"] == 310.5
    first, second = client(database).get_metric_history(found.info.run_id, "loss")
    assert (first.step, first.value, first.timestamp, second.step) == (1, 0.7, 5, 2)
    assert [file.path for file in client(database).list_artifacts(found.info.run_id, "data")] == ["data/report.json"]
    assert list((Path(database.removeprefix("sqlite:///")).parent / "mlartifacts").rglob("report.json"))


def test_a_restart_continues_the_run_and_keeps_what_changed(database: str) -> None:
    first = MlflowRun(database, "dpo", None, KEY)
    first.open()
    first.send(Entry("params", {"logging_steps": 10, "beta": 0.1}))
    again = MlflowRun(database, "dpo", None, KEY)  # without the id: the first start did not live to write it down
    again.open()
    again.send(Entry("params", {"logging_steps": 5, "beta": 0.1, "new": 1}))
    (found,) = runs(database)
    assert again.run_id == first.run_id == found.info.run_id
    assert found.data.params == {"logging_steps": "10", "beta": "0.1", "new": "1"}
    assert found.data.tags["changed.logging_steps"] == "5" and "changed.beta" not in found.data.tags


def test_another_execution_that_goes_on_with_a_run_gives_it_its_name_and_tags(database: str) -> None:
    first = MlflowRun(database, "dpo", "dpo one", KEY, tags={"execution": "one", "commit": "f" * 40})
    first.open()
    again = MlflowRun(database, "dpo", "dpo two", KEY, first.run_id, {"execution": "two", "data_hash": "8c1f"})
    again.open()
    (found,) = runs(database)
    assert found.info.run_name == "dpo two"
    told = {"execution": "two", "data_hash": "8c1f", "commit": "f" * 40, "mlflow.source.git.commit": "f" * 40}
    assert found.data.tags.items() >= told.items()


def test_what_mlflow_can_never_take_is_refused_and_not_tried_again(database: str) -> None:
    run = MlflowRun(database, "dpo", None, KEY)
    run.open()
    with pytest.raises(Refused, match="Invalid value"):
        run.send(Entry("metrics", {"what?": 1.0}, 1))


def test_a_figure_that_an_earlier_start_told_is_not_told_again(database: str) -> None:
    def start(*steps: int, **other: float) -> None:
        run = MlflowRun(database, "dpo", None, KEY)
        run.open()
        for step in steps:
            run.send(Entry("metrics", {"loss": 1 / step} | other, step))

    start(1, 2, 3)
    start(2, 3, 4, eval_loss=0.5)  # continued from a checkpoint after step 1; its evaluations are new
    (found,) = runs(database)
    told = {key: client(database).get_metric_history(found.info.run_id, key) for key in ("loss", "eval_loss")}
    assert {key: [one.step for one in history] for key, history in told.items()} == {
        "loss": [1, 2, 3, 4], "eval_loss": [2, 3, 4],
    }  # fmt: skip


def test_a_table_is_read_back_and_one_that_comes_twice_is_there_once(database: str) -> None:
    import mlflow

    run = MlflowRun(database, "dpo", None, KEY)
    run.open()
    table = final.table(judged.rows(12, hostile=True))
    for _ in range(2):
        run.send(Entry("table", {final.ANSWERS: json.loads(json.dumps(table))}))
    experiment = client(database).get_experiment_by_name("dpo").experiment_id
    mlflow.set_tracking_uri(database)  # load_table searches there, whatever its client's address is
    found = client(database).load_table(experiment, final.ANSWERS, [run.run_id])
    mlflow.set_tracking_uri(None)
    assert list(found.columns) == table["columns"] and len(found) == 12
    assert list(found["candidate"]) == [line[table["columns"].index("candidate")] for line in table["data"]]


def test_the_end_of_a_training_tells_the_served_figures_the_answers_and_the_reports(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = judged_run()
    for name in ("README.md", "evaluation.json", "history.json", "report.html"):
        (tmp_path / name).write_text(f"the {name}")
    given = TrainArguments(model_id="m", mlflow_uri=database)
    for name, value in JOB.items():
        monkeypatch.setenv(name, value)
    told = {"facts": {"data_hash": "8c1f"}, "report": {"rows": 3}, "page": "<p>"}
    tracking = callback.Tracking(given, tmp_path, "f", first_rank=True, **told)
    with tracking.run():
        tracking.on_train_begin(None, None, None)
        tracking.finish(tmp_path, run["evaluation"], 40, "README.md", run["answers"])
    assert tracking.outcomes["mlflow"].whole
    (found,) = runs(database, "dpo-quickstart")
    assert found.info.run_name == "dpo-quickstart ly8a8f44wnlv"
    assert found.data.tags.items() >= {"execution": "ly8a8f44wnlv", "data_hash": "8c1f"}.items()
    after = run["evaluation"]["served"]["after"]
    assert found.data.metrics["final/served_after/reward_accuracy"] == after["reward_accuracy"]
    assert found.data.metrics["final/answers_after/calls_right"] == 0.875
    there = {file.path for file in client(database).list_artifacts(found.info.run_id)}
    assert there == {"README.md", final.ANSWERS, "evaluation.json", "history.json", "report.html", "data"}
    data = {file.path for file in client(database).list_artifacts(found.info.run_id, "data")}
    assert data == {"data/report.json", "data/report.html"}


# W&B


@pytest.mark.slow
def test_wandb_keeps_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = WandbRun("dpo", None, KEY, tmp_path)
    run.open()
    run.send(Entry("table", {final.ANSWERS: final.table(judged.rows(6))}, 40))
    run.close("FINISHED")
    (file,) = tmp_path.rglob("media/table/answers_*.json")
    kept = json.loads(file.read_text())
    assert kept["columns"][0] == "id" and len(kept["data"]) == 6


def test_what_is_left_to_sync_is_of_every_start_of_the_run_and_of_no_other(tmp_path: Path) -> None:
    run = WandbRun("dpo", None, KEY, tmp_path)
    names = [f"offline-run-20261124_0900-{KEY}", "offline-run-20261124_0930-other", f"run-20261124_1000-{KEY}"]
    folders = [tmp_path / "wandb" / name for name in names]
    for folder in folders:
        folder.mkdir(parents=True)
    (tmp_path / "wandb" / "latest-run").symlink_to(folders[2])
    assert run.folders(uploaded=False) == [folders[0], folders[2]]
    assert run.folders(uploaded=True) == [folders[0]]


# A server that dies


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def serve(fork: Callable[..., Forked], port: int, database: str, tmp_path: Path) -> Iterator[Callable[[], Forked]]:
    """`serve()`: what `mlflow server` starts, on that port and database, once it answers."""
    words = ("-m", "uvicorn", "--host", "127.0.0.1", "--port", port, "mlflow.server.fastapi_app:app")
    stores = {"_MLFLOW_SERVER_FILE_STORE": database, "_MLFLOW_SERVER_ARTIFACT_ROOT": str(tmp_path / "artifacts")}
    started: list[Forked] = []

    def call() -> Forked:
        server = fork(*map(str, words), one_file=True, **stores)
        started.append(server)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and server.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                return server
            time.sleep(0.2)
        raise AssertionError(f"the tracking server did not start: {server.stdout()}")

    yield call
    for server in started:
        stop(server)


def stop(server: Forked) -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


@pytest.mark.slow
def test_a_server_killed_in_a_run_misses_nothing_once_it_is_back(
    tmp_path: Path, port: int, serve: Callable[[], Forked], forked
) -> None:
    uri = f"http://127.0.0.1:{port}"
    state = State.of(tmp_path, "f", TrainArguments(model_id="m", mlflow_uri=uri), NOWHERE)
    state.status = "FAILED"
    state.write(tmp_path)
    server = serve()
    (delivery,) = open_trackers(state, tmp_path)
    delivery.start()
    delivery.put(Entry("metrics", {"loss": 1.0}, 1))
    wait_for_delivery(delivery)
    stop(server)
    delivery.put(Entry("metrics", {"loss": 0.5}, 2))
    outcome = delivery.finish("FAILED", 1)  # nobody listens, and it waits that long
    assert outcome.delivered == 1 and outcome.undelivered == {"metrics": 1}
    assert [entry.step for entry in read_buffer(delivery.buffer)] == [2]

    serve()
    done = forked("-m", "steps.train.send_tracking", "--checkpoints", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mlflow: 1 entries sent, 0 refused\n" in done.stdout
    (found,) = runs(uri)
    history = client(uri).get_metric_history(found.info.run_id, "loss")
    assert [(one.step, one.value) for one in history] == [(1, 1.0), (2, 0.5)]
    assert found.info.status == "FAILED" and not delivery.buffer.exists()
    url = f"{uri}/#/experiments/{found.info.experiment_id}/runs/{found.info.run_id}"
    assert delivery.tracker.place() == {"uri": uri, "experiment": "dpo", "url": url}

    registered = versions.Version(
        number=7, arn="arn:aws:sagemaker:eu-west-1:111122223333:model-package/dpo/7", run_id=found.info.run_id,
        source="s3://bucket/serving/", approval_status="Approved", facts={},
    )  # fmt: skip
    told = versions.link(connect(uri), versions.Group(name="dpo", versions=[registered], champion=7))
    assert (told.registered, told.champion, told.problems) == ({7: "1"}, "1", [])
    assert client(uri).get_model_version_by_alias("dpo", "champion").source == "s3://bucket/serving/"


def wait_for_delivery(delivery: Delivery) -> None:
    deadline = time.monotonic() + 60
    while delivery._delivered < 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert delivery._delivered == 1


# Trainings

SHORT = {"fsdp": "false", "max_steps": 4, "save_steps": 2, "logging_steps": 1}


@pytest.mark.slow
def test_a_training_and_its_restart_are_one_run_in_both_trackers(
    train, pairs: Path, database: str, tmp_path: Path
) -> None:
    output, uri = tmp_path / "out", database
    given = SHORT | {"mlflow_uri": uri, "wandb_project": "dpo", "variables": {"WANDB_MODE": "offline"}}
    given |= {"loss_type": "sigmoid,sft", "loss_weights": "[1, 0.1]"}
    done = train(output, 0, **given)
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(output / "checkpoints" / "checkpoint-4")
    again = train(output, 0, **given)
    assert again.returncode == 0 and "continuing from checkpoint-2" in again.stdout, again.stdout + again.stderr

    (found,) = runs(uri)
    lines = json.loads((output / "history.json").read_text())  # of the second process: steps 3 and 4
    report = json.loads((pairs / "report" / "report.json").read_text())
    manifest = json.loads((output / "manifest.json").read_text())
    assert found.info.status == "FINISHED"
    assert found.data.params["beta"] == "0.1" and found.data.params["fingerprint"] == manifest["fingerprint"]
    assert found.data.params["data_hash"] == report["data_hash"]
    assert found.data.params["library.trl"] == "1.16.0" and len(found.data.params["rows_hash"]) == 64
    losses = client(uri).get_metric_history(found.info.run_id, "loss")
    assert sorted(one.step for one in losses) == [1, 2, 3, 4]  # steps 3 and 4, told by both, once
    logged = {entry["step"]: entry["loss"] for entry in lines if "loss" in entry}
    resumed = {step: loss for step, loss in logged.items() if step > 2}
    assert {one.step: one.value for one in losses if one.step > 2} == pytest.approx(resumed)
    assert "README.md" in {file.path for file in client(uri).list_artifacts(found.info.run_id)}
    assert {"tokens_per_second", "step_seconds", "eval_loss", "final/after/loss"} <= found.data.metrics.keys()
    assert "mfu" not in found.data.metrics  # a CPU's peak is not known
    after = json.loads((output / "evaluation.json").read_text())["after"]
    assert found.data.metrics["eval_reward_accuracy"] == pytest.approx(after["reward_accuracy"])

    account = json.loads((output / "tracking.json").read_text())
    assert account["mlflow"]["undelivered"] == {} and account["mlflow"]["run_id"] == found.info.run_id
    files = sorted((output / "checkpoints" / "wandb").rglob("*.wandb"), key=lambda path: path.stat().st_mtime)
    assert len(files) == 2 and {wandb_files.run_id(path) for path in files} == {account["wandb"]["run_id"]}
    assert wandb_files.config(files[0])["beta"] == 0.1
    card = (output / "README.md").read_text()
    assert (files[1].parent / "files" / "README.md").read_text() == card and report["data_hash"] in card
    steps = [{row["step"] for row in wandb_files.history(path) if "loss" in row} for path in files]
    assert steps == [{1, 2, 3, 4}, {3, 4}]
    assert account["wandb"]["to_send"] == f"wandb sync {files[0].parent} {files[1].parent}"


@pytest.mark.slow
def test_a_dead_server_stops_no_training_and_its_entries_can_be_sent_later(train, forked, tmp_path: Path) -> None:
    output = tmp_path / "out"
    done = train(output, 0, **SHORT | {"max_steps": 2}, mlflow_uri="http://ada:s3cr3t@127.0.0.1:9")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((output / "manifest.json").read_text())["arguments"]["mlflow_uri"] == "http://127.0.0.1:9"
    left = [path for path in output.rglob("*") if path.is_file()]
    assert len(left) > 10 and not [path for path in left if b"s3cr3t" in path.read_bytes()]
    assert "s3cr3t" not in done.stdout + done.stderr
    assert done.stdout.count("training goes on") == 1 and "WARNING mlflow: not delivered: " in done.stdout
    account = json.loads((output / "tracking.json").read_text())["mlflow"]
    command = f"python -m steps.train.send_tracking --checkpoints {output / 'checkpoints'}"
    assert (account["delivered"], account["closed"], account["to_send"]) == (0, False, command)
    assert account["steps"] == [0, 2] and account["undelivered"]["params"] == 1

    uri = f"sqlite:///{tmp_path}/later.db"
    sent = forked(*command.split()[1:], "--mlflow_uri", uri)
    assert sent.returncode == 0, sent.stdout + sent.stderr
    (found,) = runs(uri)
    assert [one.step for one in client(uri).get_metric_history(found.info.run_id, "loss")] == [1, 2]
    assert found.data.params["beta"] == "0.1" and found.info.status == "FINISHED"


@pytest.mark.slow
def test_a_training_that_fails_is_a_failed_run(train, database: str, tmp_path: Path) -> None:
    done = train(
        tmp_path / "out", 0, **SHORT, mlflow_uri=database, learning_rate=1, max_grad_norm=1e30, lora_alpha=1e30,
        loss_type="ipo",
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    (found,) = runs(database)
    assert found.info.status == "FAILED"


def test_nothing_is_told_on_other_ranks_or_without_a_tracker(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    arguments = TrainArguments(model_id="m", mlflow_uri="http://127.0.0.1:9")
    with caplog.at_level(logging.INFO):
        for given, first in ((arguments, False), (TrainArguments(model_id="m"), True)):
            tracking = callback.Tracking(given, tmp_path, "f", first_rank=first, facts={})
            with tracking.run():
                tracking.finish(tmp_path, {"before": {}, "after": {}}, 1, "README.md")
            assert tracking.deliveries == []
    assert list(tmp_path.iterdir()) == [] and caplog.messages == []
