"""feedback on the command line: what it writes here and into the bucket, and what it refuses; and what `try` leaves."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from pipeline import cli
from pipeline.local.state import conversations
from pipeline.settings import workflow as settings
from steps.answer.exchange import exchange
from steps.collect.feedback import lines, opinion_of
from tests.pipeline.moto_server import BUCKET, write_settings
from tests.pipeline.registered import GROUP, register

NAME = "dpo-quickstart"
TOLD = exchange([{"role": "user", "content": "Capital of Peru?"}], None, "Cusco", cut=False, parser=None)
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    def call(*words: str) -> tuple[int, str, str]:
        code = cli.main([*words, "--local", "--local-root", str(tmp_path)])
        return code, *capfd.readouterr()

    return call


def said(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for _, _, line in lines(folder)]


def test_verdicts_and_corrections_lie_beside_the_captures(command: Command, tmp_path: Path) -> None:
    name = conversations.capture(tmp_path, NAME, 1, TOLD)
    (tmp_path / "right.txt").write_text("Lima\n")
    (tmp_path / "right.json").write_text('{"tool_calls": [{"function": {"name": "f", "arguments": {}}}]}')

    assert command("feedback", name, "--up", "--by", "ann")[0] == 0
    assert command("feedback", name, "--correct", str(tmp_path / "right.txt"), "--reason", "it is Lima")[0] == 0
    code, out, _ = command("feedback", name, "--down", "--correct", str(tmp_path / "right.json"), "--json")
    assert code == 0 and json.loads(out)["inference_id"] == name
    read = sorted(said(conversations.feedback(tmp_path, NAME)), key=lambda line: line["at"])
    assert [line.get("verdict") for line in read] == ["up", None, "down"]
    assert [line.get("correction") for line in read][:2] == [None, "Lima"]
    assert (read[0]["by"], read[1]["reason"]) == ("ann", "it is Lima")
    for line in read:
        opinion_of(json.dumps(line).encode(), "a.jsonl", 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--up", "--down"], "--up and --down: give one of them"),
        ([], "give a verdict or a correction; give --up, --down or --correct FILE"),
        (["--correct", "/nowhere.txt"], "--correct /nowhere.txt: cannot be read"),
        (["--correct", "{folder}/list.json"], "list.json: must be a message, such as"),
        (["--up"], "nothing was asked yet; `try` prints an id with each answer"),
    ],
)
def test_what_is_no_opinion_is_refused(command: Command, tmp_path: Path, words: list[str], message: str) -> None:
    (tmp_path / "list.json").write_text("[]")
    code, _, err = command("feedback", "abc", *(word.format(folder=tmp_path) for word in words))
    assert code == 1 and message in err
    assert not conversations.feedback(tmp_path, NAME).exists()


def test_on_aws_it_is_an_object_where_the_run_reads(tmp_path: Path, monkeypatch, capfd) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    path = write_settings(tmp_path)
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket=BUCKET)
        code = cli.main(["feedback", "abc", "--down", "--by", "ann", "--settings", str(path)])
        assert code == 0, capfd.readouterr().err
        prefix = settings.load(path).feedback_uri.removeprefix(f"s3://{BUCKET}/")
        (entry,) = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]
        body = s3.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read()
    assert opinion_of(body, "a.jsonl", 1).by == "ann"


def test_try_keeps_what_was_asked_and_answered_and_prints_the_id(command: Command, tmp_path: Path, monkeypatch) -> None:
    register(tmp_path, {"a": 1.0}, variant="merged")

    def answered(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        (record,) = [word.removeprefix("--record=") for word in command if word.startswith("--record=")]
        Path(record).write_text(json.dumps(TOLD))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", answered)
    code, _, err = command("try", "1", "Capital of Peru?", "--group", GROUP)
    files = list(conversations.captures(tmp_path, NAME).rglob("*.jsonl"))
    assert code == 0 and len(files) == 1, err
    assert (
        f"inference id {files[0].stem}; what do you think of it: python pipeline.py feedback {files[0].stem} --up"
        in err
    )
    assert command("feedback", files[0].stem, "--down")[0] == 0
