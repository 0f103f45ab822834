"""env: what a report of a fault needs, without what is secret and without the names of accounts."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline import cli
from pipeline.commands import env
from pipeline.settings.workflow import DEFAULT_SETTINGS
from tests.paths import ROOT

NAMES = ["code", "python", "platform", "packages", "not pinned", "docker", "gpu", "settings", "local state"]
SECRETS = {"HF_TOKEN": "hf_geheim", "AWS_SECRET_ACCESS_KEY": "geheim/2", "HTTPS_PROXY": "http://me:geheim@proxy:1"}


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    assert cli.main(["env", "--local-root", str(tmp_path / "state")]) == 0
    return capsys.readouterr().out


def test_it_tells_versions_platform_programs_settings_and_state_a_line_each(told: str) -> None:
    assert [line[:12].strip() for line in told.splitlines()] == [*NAMES, "variables"]
    assert "typer 0." in told and "torch 2." in told and "configs/quickstart.yaml, no problems in the file" in told
    assert "no executions" in told


def test_variables_are_told_by_their_names_alone(told: str) -> None:
    assert set(SECRETS) <= set(told.splitlines()[-1].removeprefix("variables").replace(" ", "").split(","))
    assert "geheim" not in told


def test_no_account_is_told(told: str) -> None:
    account = (ROOT / "configs" / "account.yaml").read_text()
    assert "111122223333" in account and "111122223333" not in told


def test_as_json_it_is_one_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["env", "--local-root", str(tmp_path), "--json"]) == 0
    assert set(NAMES) < set(json.loads(capsys.readouterr().out))


def test_settings_with_problems_are_counted_and_not_quoted(tmp_path: Path) -> None:
    settings = tmp_path / "mine.yaml"
    settings.write_text("pipeline_name: geheim geheim\n")
    told = env.facts(settings, tmp_path)["settings"]
    assert "problem" in told and told.endswith(": see `check`") and "geheim" not in told


def test_the_home_folder_is_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert env.facts(DEFAULT_SETTINGS, tmp_path / "state")["local state"] == "~/state, no executions"


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (FileNotFoundError(), "not there"),
        (PermissionError(13, "Permission denied"), "docker cannot be run: Permission denied"),
        (subprocess.TimeoutExpired("docker", 5), "docker did not answer within 5 s"),
        (subprocess.CompletedProcess([], 1, "", "tcp://me@host"), "docker is there and fails with exit code 1"),
        (subprocess.CompletedProcess([], 0, "29.1 on linux/amd64\n", ""), "29.1 on linux/amd64"),
    ],
)
def test_a_program_that_does_not_answer_is_told_as_that(monkeypatch, outcome: Any, said: str) -> None:
    def run(*_: Any, **__: Any) -> Any:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(subprocess, "run", run)
    assert env._answer("docker", "version") == said
