"""What a run is called, and its tags: from the job's environment and the recipe."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from steps.train.arguments import TrainArguments
from steps.train.tracking import label

JOB = {
    "PIPELINE_NAME": "dpo-quickstart",
    "TRAINING_JOB_NAME": "pipelines-ly8a8f44wnlv-Train-x1y2z3w4v5",
    "TRAINING_JOB_ARN": "arn:aws:sagemaker:eu-west-1:111122223333:training-job/pipelines-ly8a8f44wnlv-Train-x1y2z3w4v5",
    "CODE_VERSION": "0a1b2c3d",
}


@pytest.fixture(autouse=True)
def without_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label, "commit", lambda checkout: "f" * 40)


def test_a_run_is_called_after_its_pipeline_and_execution() -> None:
    found = label.of(TrainArguments(model_id="org/model", model_revision="9c2d"), JOB, {"data_hash": "8c1f"})
    assert (found.experiment, found.run_name) == ("dpo-quickstart", "dpo-quickstart ly8a8f44wnlv")
    assert found.tags == {
        "pipeline": "dpo-quickstart",
        "execution": "ly8a8f44wnlv",
        "execution_arn": "arn:aws:sagemaker:eu-west-1:111122223333:pipeline/dpo-quickstart/execution/ly8a8f44wnlv",
        "job": "pipelines-ly8a8f44wnlv-Train-x1y2z3w4v5",
        "data_hash": "8c1f",
        "base_model": "org/model",
        "base_commit": "9c2d",
        "code_version": "0a1b2c3d",
        "commit": "f" * 40,
    }


def test_what_the_recipe_names_stays() -> None:
    given = TrainArguments(
        model_id="m", mlflow_experiment_name="mine", run_name="try 3", base_model_name="s3://b/base/"
    )
    found = label.of(given, JOB, {})
    assert (found.experiment, found.run_name) == ("mine", "try 3")
    assert found.tags["base_model"] == "s3://b/base/" and found.tags["execution"] == "ly8a8f44wnlv"


def test_outside_of_a_pipeline_nothing_is_made_up() -> None:
    found = label.of(TrainArguments(model_id="m"), {}, {})
    assert (found.experiment, found.run_name, found.pipeline) == ("dpo", None, None)
    assert found.tags == {"base_model": "m", "commit": "f" * 40}
    other = {"TRAINING_JOB_NAME": "my-own-job", "PIPELINE_NAME": "dpo"}
    assert "execution" not in label.of(TrainArguments(model_id="m"), other, {}).tags


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    done = subprocess.run(["git", "-C", str(folder), *who, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_commit_is_the_checkouts_and_says_where_files_differ_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    assert label.commit(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert label.commit(tmp_path) is None  # no commit yet
    (tmp_path / "code.py").write_text("1")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "one")
    git(tmp_path, "tag", "v1")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert label.commit(tmp_path) == head
    (tmp_path / "code.py").write_text("2")
    assert label.commit(tmp_path) == f"{head}-dirty"


def test_a_machine_without_git_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert label.commit(tmp_path) is None
