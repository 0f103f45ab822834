"""The commands that messages name can be copied: no terminal is too narrow for them."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from pipeline.commands import bootstrap
from pipeline.commands.shared import options
from pipeline.settings import workflow
from tests.pipeline import moto_server
from tests.structure import sources


def test_a_next_command_is_whole_on_a_narrow_terminal(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(options, "stderr", Console(stderr=True))
    (folder := tmp_path / "configs-[of]-an-account").mkdir()
    settings = moto_server.write_settings(folder)
    there = SimpleNamespace(workflow=workflow.load(settings))
    bootstrap._compare(there, {"region": there.workflow.account.region}, settings)
    bootstrap._compare(there, {"region": "elsewhere"}, settings)
    account = settings.parent / "account.yaml"
    assert capsys.readouterr().err.splitlines() == [
        f"{account} has these values; deploy: python pipeline.py upsert --settings {settings}",
        f"{account} says otherwise for region: put the lines above into it",
    ]


@pytest.mark.parametrize("module", sources("pipeline/commands"))
def test_only_tables_are_fitted_to_the_terminal(module: str) -> None:
    for call in ast.walk(ast.parse(sources("pipeline/commands")[module].read_text())):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "print":
            printed = ast.unparse(call.args[0])
            whole = any(word.arg == "soft_wrap" for word in call.keywords)
            assert whole or printed.startswith(("table", "draw(")), ast.unparse(call)
