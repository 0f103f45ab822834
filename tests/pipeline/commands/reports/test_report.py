"""report as a user meets it: on this machine, where executions of small definitions have really run."""

from __future__ import annotations

import dataclasses
import json
import webbrowser

import pytest

from pipeline.cli import main
from pipeline.commands.reports import report
from pipeline.commands.shared.place_here import PlaceHere
from pipeline.local.executor import create_execution, run_execution
from tests.document import Document, require_whole
from tests.pipeline.local.conftest import definition, fail, processing, training

SAYS = "print('[metrics] step=1/2 loss=0.5')"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "local"


@pytest.fixture
def call(root, capsys):
    def run(*words):
        code = main(["report", "--local", "--local-root", str(root), *words])
        return code, *capsys.readouterr()

    return run


def execution(root, code=SAYS, name=None):
    steps = [processing("Preprocess", "print('reads')"), training("Train", code), fail("Rejected", "no")]
    steps[1]["DependsOn"], steps[2]["DependsOn"] = ["Preprocess"], ["Train"]
    made = create_execution(root, "pipe", definition(*steps, Beta=0.1), {"Beta": 0.2}, name)
    return run_execution(root, made.id, lambda event: None)


@pytest.mark.slow
def test_the_newest_executions_page_is_written_beside_the_state_and_named(call, root, monkeypatch):
    ended = execution(root, "import sys; print('it <b>broke</b>'); sys.exit(3)", "nightly-7")
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda uri: bool(opened.append(uri)))
    code, out, err = call("--open")
    file = root / "reports" / f"pipe-{ended.id}.html"
    assert code == 0 and out == f"{file}\n" and opened == [file.as_uri()]
    assert err == f"no browser was found here; open {file} in one\n"
    html = file.read_text()
    require_whole(html)
    text = Document(html).text
    assert "Failed in Train" in text and "it <b>broke</b>" in text and "nightly-7" in text
    assert f"python pipeline.py retry --local --local-root {root} {ended.id}" in text
    assert f"python pipeline.py start --set Beta=0.2 --local --local-root {root}" in text


@pytest.mark.slow
def test_all_executions_are_one_page(call, root, tmp_path):
    ids = [execution(root).id for _ in range(2)]
    (root / "executions" / ids[0] / "execution.json").write_text("")
    file = tmp_path / "runs.html"
    code, out, err = call("--all", "-o", str(file), "--json")
    assert code == 0 and json.loads(out) == {"executions": "1", "file": str(file)}
    assert "left out: " in err and ids[1] in file.read_text()


@pytest.mark.slow
def test_the_page_of_a_running_execution_is_written_until_it_has_ended(call, root, monkeypatch):
    ended = execution(root)
    states = iter(["Executing", "Executing", "Failed"])
    whole = PlaceHere.status

    def status(place, name):
        summary, steps = whole(place, name)
        return dataclasses.replace(summary, status=next(states)), steps

    waited = []
    monkeypatch.setattr(PlaceHere, "status", status)
    monkeypatch.setattr(report.time, "sleep", waited.append)
    code, out, err = call("--follow", "--json")
    assert code == 0 and json.loads(out)["status"] == "Failed" and waited == [report.WATCH_SECONDS] * 2
    assert "written again every 10 seconds" in err
    assert 'http-equiv="refresh"' not in (root / "reports" / f"pipe-{ended.id}.html").read_text()


def test_all_takes_neither_an_execution_nor_follow(call):
    for words in (["abc", "--all"], ["--all", "--follow"]):
        code, _, err = call(*words)
        assert code == 1 and err == "error: --all is of all executions: leave out the execution and --follow\n"


def test_no_executions_yet_is_said(call, root):
    code, _, err = call()
    assert code == 1 and "no executions yet; start one: python pipeline.py start --local" in err
    code, _, _ = call("--all")
    assert code == 0 and "There are no executions yet." in (root / "reports" / "all-runs.html").read_text()
