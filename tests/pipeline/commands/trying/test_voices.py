"""Who is loaded for whom, when, and what is said where that fails; nothing is generated."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from pipeline import cli
from pipeline.commands.trying import speaker, voices
from pipeline.commands.trying.speaker import Speaker
from pipeline.errors import UserError
from pipeline.local.state import conversations
from pipeline.local.state.store import Store
from steps.answer.exchange import exchange
from tests.pipeline.registered import BASE, BUCKET, GROUP, register

Command = Callable[..., tuple[int, str, str]]


class Loaded:
    """A speaker that answers with its name; `started` are the words of all of them."""

    started: list[list[str]]
    closed: list[str]

    def __init__(self, name: str, words: list[str]) -> None:
        self.name = name
        self.started.append(words)
        if "fails" in str(words):
            raise typer.Exit(1)

    def ask(self, request: dict[str, Any], heard: Callable[[str], None]) -> dict[str, Any]:
        text = self.name + (" as base" if request["as_base"] else "")
        heard(f"{text}\n")
        answer = {"text": text, "prompt_tokens": 1, "tokens": 2, "cut": True, "seconds": 0.1}
        told = exchange(request["messages"], request["tools"], text, cut=False, parser=None)
        return {"answer": answer, "stopped": False, "exchange": told, "calls": [], "broken": None}

    def close(self) -> None:
        self.closed.append(self.name)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> type[Loaded]:
    Loaded.started, Loaded.closed = [], []
    monkeypatch.setattr(voices, "Speaker", Loaded)
    return Loaded


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Version 1 is merged, version 2 an adapter."""
    Store(tmp_path).path(f"{BASE}config.json").parent.mkdir(parents=True)
    register(tmp_path, {"a": 1.0}, variant="merged")
    register(tmp_path, {"a": 1.0})
    return tmp_path


@pytest.fixture
def piped(root: Path, loaded: type[Loaded], monkeypatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """`try` with lines on stdin: exit code, stdout, stderr."""

    def call(lines: str, *words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
        code = cli.main(["try", *words, "--local", "--local-root", str(root)])
        return code, *capfd.readouterr()

    return call


def test_the_base_of_a_merged_version_is_loaded_when_it_is_asked(piped: Command, root: Path, loaded) -> None:
    code, out, err = piped("One?\n/base\n/base\n", "1")
    assert (code, out) == (0, "version 1\n" + "--- the base model\nthe base model\n" * 2), err
    place, base = Store(root).path(f"{BUCKET}/run-{GROUP}-1/serving"), Store(root).path(BASE)
    assert loaded.started == [[f"--model={place}"], [f"--model={base}", f"--tokenizer={place}"]]
    assert loaded.closed == ["version 1", "the base model"]


def test_the_base_of_an_adapter_and_the_champion_are_who_they_are(piped: Command, root: Path, loaded) -> None:
    assert cli.main(["approve", "1", "--local", "--local-root", str(root)]) == 0
    code, out, _ = piped("One?\n/base\n/champion\n", "latest", "--json")
    own, base, champion = map(json.loads, out.splitlines()[-3:])
    assert code == 0 and own["version"] == 2 and own["answer"]["text"] == "version 2"
    assert base["base"]["text"] == "version 2 as base"
    assert champion["champion"]["text"] == "version 1, the champion" and len(loaded.started) == 2
    assert len(list(conversations.captures(root, "dpo-quickstart").rglob("*.jsonl"))) == 1


def test_one_that_is_not_there_is_told_and_the_rest_goes_on(piped: Command, root: Path) -> None:
    code, out, err = piped("One?\n/champion\nTwo?\n", "1", "--system", "Be brief.", "--base")
    assert code == 1 and out.count("--- this version\nversion 1\n--- the base model\n") == 2
    assert "error: line 2: no version is approved yet: python pipeline.py approve VERSION --local" in err
    assert cli.main(["approve", "1", "--local", "--local-root", str(root)]) == 0
    assert "error: line 2: version 1 is the champion itself" in piped("One?\n/champion\n", "1")[2]


def test_a_base_that_cannot_be_loaded_ends_nothing(piped: Command, root: Path) -> None:
    path = root / "registry" / GROUP / "1" / "package.json"
    path.write_text(path.read_text().replace(BASE, "hub/fails@main"))
    code, out, err = piped("One?\n/base\nTwo?\n", "1")
    assert (code, out) == (1, "version 1\n" * 2)
    assert "error: line 2: the base model cannot be loaded, as said above" in err


def test_nothing_is_loaded_where_nothing_is_asked(piped: Command, root: Path, loaded, tmp_path: Path) -> None:
    code, _, err = piped("", "1")
    assert code == 1 and "error: nothing is asked: give a prompt" in err
    code, _, err = piped("One?\n", "1", "--tools", str(tmp_path / "none.json"))
    assert code == 1 and "the list of tools is missing" in err and loaded.started == []


def test_a_process_that_ends_is_told(monkeypatch) -> None:
    monkeypatch.setattr(speaker, "MODULE", "tests.pipeline.commands.trying.stand_in")
    with pytest.raises(typer.Exit) as end:
        Speaker("version 1", ["load"])
    assert end.value.exit_code == 3
    model = Speaker("version 1", ["answer"])
    with pytest.raises(UserError, match=r"version 1: its process ended \(exit code 4\); begin again with `try`"):
        model.ask({}, lambda text: None)
    model.close()
