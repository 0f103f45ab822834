"""An execution that asks for new data and has none ends before training, and says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.pipeline.registered import GROUP, register


@pytest.fixture
def start(forked, tmp_path: Path, tiny_model: Path):
    def call(verb: str, *words: str):
        done = forked("pipeline.py", verb, "--local", "--local-root", tmp_path, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    given = ("--wait", "--set", f"ModelUri={tiny_model}", "--set", "SkipIfNoNewData=true")
    return lambda *words: call("start", *given, *words), call


def test_no_new_data_ends_the_execution_before_training(start, tmp_path: Path, pairs: Path) -> None:
    begin, call = start
    known = json.loads((pairs / "report" / "report.json").read_text())["data_hash"]
    register(tmp_path, {"a": 1.0}, group=GROUP, data_hash=known)
    summary = json.loads(begin("--json"))
    assert (summary["status"], summary["no_new_data"], summary["rows"]["train"] > 0) == ("Succeeded", True, True)
    found = {step["name"]: step for step in json.loads(call("status", "--json"))["steps"]}
    states = {name: step["status"] for name, step in found.items() if step["type"] != "Condition"}
    assert {name for name, state in states.items() if state == "Succeeded"} == {"Champion", "Preprocess"}
    assert found["NoNewData"]["output"] == "True" and "CheckGate" not in found
    # The next time Preprocess comes from the cache too: the lookup is the only job that runs.
    assert "no new data      the data is that of the last registered version; ended before training" in begin()
    found = {step["name"]: step for step in json.loads(call("status", "--json"))["steps"]}
    assert (found["Preprocess"]["cached"], found["Champion"]["cached"]) == (True, False)
