"""A Spark workflow on this machine, from its settings through the command line to the outputs of its first step."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from pipeline.local.plan import spark
from tests.paths import ROOT

MISSING = next(iter(spark.problems()), None)
SECONDS = 180


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """The quickstart, with Preprocess on three instances of Spark."""
    checkout = ROOT
    text = (checkout / "configs" / "quickstart.yaml").read_text()
    for named in ("recipe: ", "data: ../"):
        base = checkout if named.endswith("../") else checkout / "configs"
        text = text.replace(named, f"{named.removesuffix('../')}{base}/")
    section = "preprocess:\n  engine: spark\n  instance_count: 3\n  max_characters: 100000\n\n"
    path = tmp_path / "spark.yaml"
    path.write_text(f"account: {checkout}/configs/account.yaml\n" + text.replace("\ntrain:\n", f"\n{section}train:\n"))
    return path


def test_java_that_is_missing_is_said_before_anything_is_stored(forked, settings, tmp_path):
    command = ("pipeline.py", "start", "--local", "--local-root", tmp_path / "state", "--settings", settings)
    done = forked(*command, JAVA_HOME=str(tmp_path))
    assert done.returncode == 1
    said = "Preprocess: Spark needs Java, and there is none here; install Java 17, or set JAVA_HOME to it"
    assert said in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "state").exists()


def test_check_show_and_definition_need_no_spark(forked, settings, tmp_path):
    for verb in ("check", "show", "definition"):
        done = forked("pipeline.py", verb, "--settings", settings, JAVA_HOME=str(tmp_path))
        assert done.returncode == 0, done.stderr
    assert "smspark-submit" in done.stdout


@pytest.mark.slow
@pytest.mark.spark
@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
def test_preprocess_runs_on_this_machines_spark(forked, settings, tiny_model, tmp_path):
    state = ("--local", "--local-root", tmp_path / "state")
    given = ("--settings", settings, "--set", f"ModelUri={tiny_model}")
    started = forked("pipeline.py", "start", *state, *given, "--json")
    assert started.returncode == 0, started.stderr
    execution = json.loads(started.stdout)["id"]

    def status() -> dict:
        return json.loads(forked("pipeline.py", "status", execution, *state, "--json").stdout)

    deadline = time.monotonic() + SECONDS
    step = None
    while time.monotonic() < deadline and (step is None or step["status"] in ("Starting", "Executing")):
        time.sleep(1)
        step = next((one for one in status()["steps"] if one["name"] == "Preprocess"), None)
    forked("pipeline.py", "stop", execution, *state)
    log = forked("pipeline.py", "logs", execution, "--step", "Preprocess", *state).stdout
    assert step is not None and step["status"] == "Succeeded", log
    assert "Spark 3.5" in log and "on local[*]" in log

    bucket = tmp_path / "state" / "s3" / "dpo-pipeline-111122223333" / "dpo" / "dpo-quickstart" / "runs" / execution
    output = bucket / "Preprocess"
    rows = json.loads((output / "report" / "report.json").read_text())["rows"]
    assert rows["read"] == sum(rows[name] for name in ("train", "validation", "duplicate", "quarantined")) == 792
    assert list((output / "train").glob("part-*.parquet")) and list((output / "report" / "ids").glob("*.parquet"))
    while time.monotonic() < deadline and status()["status"] in ("Executing", "Stopping"):
        time.sleep(1)
    assert status()["status"] == "Stopped"
