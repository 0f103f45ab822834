"""What commands tell MLflow of versions: a local registry and the SQLite file beside it; MLflow itself is real.

Its process is this one, but where a test says so: its import takes seconds.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline import cli
from pipeline.local.state.records import mlflow_uri
from pipeline.versions import linked
from steps.shared import contract
from steps.train import link_versions
from steps.train.tracking.mlflow_client import connect
from tests.pipeline.registered import GROUP, register

Command = Callable[..., tuple[int, str, str]]
IN_FILE = "sqlite:///mlflow.db"


@pytest.fixture
def root(tmp_path: Path, empty_database: Path) -> Path:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture
def client(root: Path) -> Any:
    return connect(mlflow_uri(root))


@pytest.fixture
def versions(root: Path, client: Any) -> list[str]:
    """Two versions, each of a run of its own; the runs' ids."""
    runs = [str(client.create_run("0").info.run_id) for _ in range(2)]
    for run in runs:
        register(root, {"a": 1.0}, mlflow_run_id=run, mlflow_uri=IN_FILE)
    return runs


@pytest.fixture
def command(root: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    """Run a command on the registry: exit code, stdout, stderr."""

    def call(*words: str) -> tuple[int, str, str]:
        code = cli.main([*words, "--local", "--local-root", str(root)])
        return code, *capfd.readouterr()

    return call


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(words: Sequence[str], *, input: str, **_: Any) -> subprocess.CompletedProcess[str]:
        assert words[1:3] == ["-m", link_versions.__name__]
        out, err = io.StringIO(), io.StringIO()
        with monkeypatch.context() as patched, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patched.setattr("sys.stdin", io.StringIO(input))
            code = contract.run(lambda: link_versions.main(list(words[3:])))
        return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())

    monkeypatch.setattr(linked.subprocess, "run", run)


def champion(client: Any) -> str | None:
    """The number in the group of what MLflow has as champion."""
    if GROUP not in {model.name for model in client.search_registered_models()}:
        return None
    if "champion" not in client.get_registered_model(GROUP).aliases:
        return None
    return str(client.get_model_version_by_alias(GROUP, "champion").tags["version"])


def test_the_alias_in_mlflow_follows_what_is_approved_and_rejected(
    command: Command, versions: list[str], client: Any, in_this_process: None
) -> None:
    code, _, err = command("approve", "1", "--note", "answers well")
    assert code == 0 and f"mlflow: {GROUP}: version 1 is version 1 there; champion there: version 1\n" in err
    assert champion(client) == "1"
    (made,) = client.search_model_versions(f"name = '{GROUP}'")
    assert (made.tags["approval_status"], made.tags["note"]) == ("Approved", "answers well")
    assert Path(made.source.removeprefix("file://")).joinpath("adapters/dpo/adapter_model.safetensors").is_file()
    command("approve", "2")
    assert champion(client) == "2"
    command("reject", "2")
    assert champion(client) == "1"
    assert "; no champion" in command("reject", "1")[2]
    assert champion(client) is None
    assert [client.get_run(run).data.tags["version"] for run in versions] == [f"{GROUP}/1", f"{GROUP}/2"]


def test_all_versions_are_told_again_on_request(
    command: Command, versions: list[str], client: Any, root: Path, in_this_process: None
) -> None:
    register(root, {"a": 1.0})  # of an earlier release: it names no run
    code, out, err = command("models", "--link", "--json")
    assert code == 0 and len(json.loads(out)) == 3
    assert f"mlflow: {GROUP}: version 1 is version 1 there, version 2 is version 2 there; no champion\n" in err
    told = {made.run_id: made.tags["version"] for made in client.search_model_versions(f"name = '{GROUP}'")}
    assert told == {versions[0]: "1", versions[1]: "2"}
    client.delete_run(versions[0])
    code, _, err = command("models", "--link")
    assert code == 0 and f"run {versions[0]} of version 1 is not there any more; once that is mended: python " in err


def test_a_folder_that_was_moved_is_tracked_where_it_is_now(
    command: Command, versions: list[str], root: Path, tmp_path_factory: pytest.TempPathFactory, in_this_process: None
) -> None:
    moved = tmp_path_factory.mktemp("moved") / "o'brien 100%"
    shutil.move(root, moved)
    assert cli.main(["approve", "1", "--local", "--local-root", str(moved)]) == 0
    assert champion(connect(mlflow_uri(moved))) == "1"


def test_versions_that_were_never_tracked_ask_nobody(
    command: Command, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linked.subprocess, "run", None)
    register(root, {"a": 1.0}, mlflow_run_id="none", mlflow_uri="none")
    code, _, err = command("approve", "1")
    assert code == 0 and "mlflow" not in err
    assert f"{GROUP}: no version was tracked in MLflow\n" in command("models", "--link")[2]


def test_a_tracker_that_is_down_fails_nothing_and_the_line_says_how_to_tell_it_later(
    command: Command, root: Path, in_this_process: None
) -> None:
    register(root, {"a": 1.0}, mlflow_run_id="0" * 32, mlflow_uri="http://127.0.0.1:9")
    code, out, err = command("approve", "1")
    assert code == 0 and "PendingManualApproval -> Approved" in out
    (line,) = [line for line in err.splitlines() if line.startswith("mlflow: ")]
    assert line.startswith("mlflow: http://127.0.0.1:9: MLflow is not reached: ")
    again = f"nothing is lost, tell it later: python pipeline.py models --link --local --local-root {root}"
    assert line.endswith(again)


def test_a_machine_without_mlflow_and_a_removed_file_are_said(
    command: Command, versions: list[str], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "mlflow" else there(name))
    code, _, err = command("approve", "1")
    assert code == 0 and f"mlflow: cannot be told of {GROUP} from here: pip install mlflow; nothing is lost" in err
    (root / "mlflow.db").unlink()
    assert f"mlflow: {root / 'mlflow.db'} is gone" in command("models", "--link")[2]


def test_mlflow_is_asked_in_a_process_of_its_own(command: Command, versions: list[str], client: Any) -> None:
    code, _, err = command("approve", "2")
    assert code == 0 and "champion there: version 1\n" in err
    assert champion(client) == "2"
