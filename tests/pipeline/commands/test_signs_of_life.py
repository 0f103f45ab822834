"""No command is silent for long: each one, on this machine and on AWS, shows that it works while what it asks is slow.

A new command must be in TABLE. What a running execution shows is in tests/pipeline/watching.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.account import docker_command
from pipeline.watching import beat
from tests.paths import ROOT
from tests.pipeline import moto_server
from tests.pipeline import slow as tests_slow
from tests.pipeline.commands.test_commands import VERBS
from tests.pipeline.slow import Screen, screen, server, slow_files

HERE, FILES, ON_AWS, DOCKER = "--local", "on this machine", "on AWS", "Docker"
NO_SUCH = "abcdefghijkl"  # an execution that there is not: it is looked for all the same
# Each command with where it waits, and its other words. What it comes to is tested elsewhere.
TABLE: dict[str, list[tuple[str, list[str]]]] = {
    "recipe": [(FILES, ["--from", str(ROOT / "configs" / "recipes" / "quickstart.yaml")])],
    "check": [(FILES, []), (ON_AWS, ["--account"])],
    "start": [(HERE, ["--wait", "--set", "Beta=0"]), (ON_AWS, [])],
    "stop": [(HERE, [NO_SUCH]), (ON_AWS, [NO_SUCH])],
    "retry": [(HERE, [NO_SUCH]), (ON_AWS, [NO_SUCH])],
    "status": [(HERE, [NO_SUCH]), (ON_AWS, [NO_SUCH])],
    "list": [(HERE, []), (ON_AWS, [])],
    "describe": [(HERE, [NO_SUCH]), (ON_AWS, [NO_SUCH])],
    "report": [(HERE, [NO_SUCH]), (ON_AWS, [NO_SUCH])],
    "logs": [(HERE, [NO_SUCH]), (ON_AWS, [NO_SUCH])],
    "models": [(HERE, []), (ON_AWS, [])],
    "compare": [(HERE, ["1", "2"]), (ON_AWS, ["1", "2"])],
    "try": [(HERE, ["1", "Hello"]), (ON_AWS, ["1", "Hello"])],
    "approve": [(HERE, ["1"]), (ON_AWS, ["1"])],
    "reject": [(HERE, ["1"]), (ON_AWS, ["1"])],
    "deploy": [(ON_AWS, ["1"])],
    "undeploy": [(ON_AWS, ["dpo"])],
    "feedback": [(HERE, [NO_SUCH, "--up"]), (ON_AWS, [NO_SUCH, "--up"])],
    "forget": [(HERE, [NO_SUCH, "--yes"]), (ON_AWS, [NO_SUCH, "--yes"])],
    "schedule": [(ON_AWS, ["--rate", "7 days"])],
    "schedules": [(ON_AWS, [])],
    "unschedule": [(ON_AWS, ["nightly"])],
    "trigger": [(ON_AWS, ["--on-new-data", f"s3://{moto_server.BUCKET}/new/"])],
    "triggers": [(ON_AWS, [])],
    "untrigger": [(ON_AWS, ["on-data"])],
    "bootstrap": [(ON_AWS, [])],
    "images": [(DOCKER, ["build", "processing"])],
    "upsert": [(ON_AWS, ["--yes"])],
    "show": [(FILES, [])],
    "definition": [(FILES, [])],
    "delete": [(ON_AWS, ["--yes"])],
    "teardown": [(ON_AWS, ["--yes"])],
    "env": [(FILES, [])],
}
AUTOMATION = """
automation:
  schedule_group: dpo
  scheduler_role_arn: arn:aws:iam::123456789012:role/scheduler
  events_role_arn: arn:aws:iam::123456789012:role/events
  dead_letter_queue_arn: arn:aws:sqs:us-east-1:123456789012:dead
  debounce_function_arn: arn:aws:lambda:us-east-1:123456789012:function:debounce
"""
CASES = [(verb, where, words) for verb, cases in TABLE.items() for where, words in cases]


def test_every_command_is_in_the_table() -> None:
    assert list(TABLE) == VERBS


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    with moto_server.running() as address:
        yield address


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, aws: str) -> Path:
    """A workflow whose pipeline and first version are in the account."""
    s3, sagemaker = moto_server.client(aws, "s3"), moto_server.client(aws, "sagemaker")
    s3.create_bucket(Bucket=moto_server.BUCKET)
    s3.put_object(Bucket=moto_server.BUCKET, Key="models/tiny/config.json", Body=b"{}")
    sagemaker.create_model_package_group(ModelPackageGroupName="dpo-quickstart")
    written = moto_server.write_settings(tmp_path_factory.mktemp("configs"))
    with open(written.parent / "account.yaml", "a", encoding="utf-8") as account:
        account.write(AUTOMATION)
    return written


@contextmanager
def slow_world(monkeypatch: pytest.MonkeyPatch, aws: str, where: str, home: Path) -> Iterator[Screen]:
    """A terminal, with signs of life in quick succession, before a world that waits for them.

    Entered within the test, as pytest has streams of its own for what a fixture does.
    """
    monkeypatch.setattr(beat, "DUMB_SECONDS", 0.02)
    with screen(monkeypatch) as shown, server(aws, shown.until_a_sign) as address, monkeypatch.context() as patch:
        for name, value in moto_server.access(address, home).items():
            patch.setenv(name, value)
        if where in (HERE, FILES):
            slow_files(patch, shown.until_a_sign)
        if where == DOCKER:

            def docker(*_: object, **__: object) -> None:
                shown.until_a_sign("docker")
                raise FileNotFoundError

            patch.setattr(docker_command.subprocess, "run", docker)
        yield shown


def run(*words: str) -> object:
    """The exit code of a command, by the front door."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr(sys, "argv", ["pipeline.py", *words])
        runpy.run_path(str(ROOT / "pipeline.py"), run_name="__main__")
    return end.value.code


@pytest.mark.parametrize(("verb", "where", "words"), CASES, ids=[f"{verb} {where}" for verb, where, _ in CASES])
def test_a_command_shows_that_it_works(
    aws: str,
    settings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    where: str,
    words: list[str],
) -> None:
    if where == HERE:
        words = [*words, HERE, "--local-root", str(tmp_path / "state")]
    options = [] if verb == "recipe" else ["--settings", str(settings)]
    with slow_world(monkeypatch, aws, where, tmp_path) as slow:
        code = run(verb, *words, *options)
    assert code in (0, 1) and slow.waited and slow.silent == [], slow.text


def test_a_command_that_shows_nothing_would_be_seen(aws: str, settings: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tests_slow, "GIVE_UP", 0.2)
    with slow_world(monkeypatch, aws, ON_AWS, tmp_path) as slow, beat.hold("a mistake"):
        run("list", "--settings", str(settings))
    assert slow.silent
