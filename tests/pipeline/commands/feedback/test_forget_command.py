"""forget on the command line: it shows, asks, deletes, and says what stays; here and on AWS."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from pipeline import cli
from pipeline.feedback import say
from pipeline.local.state import conversations, records
from pipeline.local.state.records import Execution
from pipeline.texts import now
from steps.answer.exchange import exchange
from tests.pipeline.forgetting.traces import traces
from tests.pipeline.moto_server import BUCKET, write_settings

NAME = "dpo-quickstart"
TOLD = exchange([{"role": "user", "content": "What is my code?"}], None, "I do not know", cut=False, parser=None)
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    def call(*words: str) -> tuple[int, str, str]:
        code = cli.main([*words, "--local", "--local-root", str(tmp_path)])
        return code, *capfd.readouterr()

    return call


@pytest.fixture
def name(tmp_path: Path) -> str:
    name = conversations.capture(tmp_path, NAME, 1, TOLD)
    say(conversations.feedback(tmp_path, NAME), name, "down", correction="It is 7719", by="ann")
    return name


def test_it_shows_what_goes_asks_and_deletes(command: Command, name: str, tmp_path: Path) -> None:
    code, out, err = command("forget", "ann", "--dry-run")
    assert code == 0 and "to be deleted: 1 lines of feedback in 1 files" in err and "would stay: 1 captures" in out
    code, _, err = command("forget", "ann")
    assert code == 1 and "Nobody can be asked here" in err and "forget ann --local" in err and "--yes" in err
    assert traces(tmp_path, ["It is 7719"])
    code, out, _ = command("forget", "ann", "--with-answers", "--yes")
    assert code == 0 and out.startswith("forgotten: ann\n") and traces(tmp_path, ["It is 7719", name]) == {}


def test_an_answer_by_its_id_as_json(command: Command, name: str, tmp_path: Path) -> None:
    code, out, _ = command("forget", name, "--yes", "--json")
    told = json.loads(out)
    assert code == 0 and told | {"stays": []} == {
        "of": name, "forgotten": True, "captures": 1, "feedback": 1, "runs": [], "stays": [],
    }  # fmt: skip
    assert traces(tmp_path, ["It is 7719", "What is my code?", name]) == {}


def test_nobody_of_that_name_is_an_error(command: Command, name: str) -> None:
    code, _, err = command("forget", "Ann", "--yes")
    assert code == 1 and "Ann: neither a capture nor feedback has it as an id or as a person" in err


def test_a_running_execution_must_end_first(command: Command, name: str, tmp_path: Path) -> None:
    execution = Execution(id="abc", pipeline_name=NAME, parameters={}, created=now(), steps=[])
    records.create(tmp_path, execution, {"Steps": [], "Parameters": []})
    code, _, err = command("forget", "ann", "--yes")
    assert code == 1 and "execution abc is running" in err and traces(tmp_path, ["It is 7719"])


def test_on_aws_it_deletes_below_the_pipelines_prefix(tmp_path: Path, monkeypatch, capfd) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "testing")
    path = write_settings(tmp_path)
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket=BUCKET)
        assert cli.main(["feedback", "abc", "--down", "--by", "ann", "--settings", str(path)]) == 0
        capfd.readouterr()
        code = cli.main(["forget", "ann", "--yes", "--settings", str(path)])
        out, err = capfd.readouterr()
        assert code == 0, err
        assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET)
    assert "stays: what MLflow's server" in out and "forget ann --local --settings" in out
