"""Commands that messages tell: a shell that is given one means the same folders and names, whatever is in them."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.commands.shared.model_registry import next_options
from pipeline.commands.shared.options import where
from pipeline.local import summary

ROOT, SETTINGS = Path("/home/me/it's here/$HOME"), Path("my settings.yaml")


def test_the_options_of_a_next_command_are_words_of_a_shell() -> None:
    words = ["--local", "--local-root", str(ROOT), "--settings", str(SETTINGS)]
    assert shlex.split(where(True, SETTINGS, ROOT)) == words
    assert shlex.split(str(next_options(True, SETTINGS, "a group", ROOT))) == [*words, "--group", "a group"]


def test_so_is_the_place_of_what_was_tracked() -> None:
    uri = f"sqlite:///{ROOT}/mlflow.db"
    told = {"mlflow": {"delivered": 2, "entries": 2}}
    said = summary.text({"execution": "x", "status": "Succeeded", "mlflow": uri, "tracked": told, "logs": "logs"})
    (line,) = (line for line in said.splitlines() if line.startswith("tracked"))
    command = line.partition("2 of 2 entries: ")[2]
    assert shlex.split(command) == ["mlflow", "ui", "--backend-store-uri", uri]


def test_a_command_that_printed_its_next_one_can_be_followed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "my root"
    assert cli.main(["list", "--local", "--local-root", str(root)]) == 0
    said = capsys.readouterr().out.strip()
    assert said == f"no executions yet; start one: python pipeline.py start --local --local-root '{root}'"
