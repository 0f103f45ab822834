"""Conversations with a tiny random model: at a terminal as a person has them, and with the process that stays."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.commands.trying.speaker import Speaker
from pipeline.errors import UserError
from pipeline.local.state import conversations
from pipeline.local.state.store import Store
from tests.paths import ROOT
from tests.pipeline.registered import BASE, GROUP, register
from tests.steps.answer.small import base_and_adapter

NAME = "dpo-quickstart"
POSITIONS = 100_000
PATIENCE = 120  # seconds of a busy machine


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with one version, an adapter that can be loaded."""
    root = tmp_path_factory.mktemp("registry")
    made = base_and_adapter(tmp_path_factory.mktemp("models"), POSITIONS)
    store = Store(root)
    store.path(BASE).parent.mkdir(parents=True, exist_ok=True)
    made["base"].rename(store.path(BASE))
    register(root, {"a": 1.0}, adapter=made["adapter"])
    return root


class Terminal:
    """A command that believes that a person types; what it wrote is in `seen`."""

    def __init__(self, words: list[str], environment: dict[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "pipeline.py", *words], cwd=ROOT, env=environment, stdin=theirs, stdout=theirs,
            stderr=theirs, start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(theirs)
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def until(self, pattern: str, press: str = "") -> str:
        """Wait until this is seen in what was not looked at before; gives that up to its end.

        Args:
            press: is pressed now, and again each second of silence, as a person does: Python's readline sleeps through
                a ctrl-C that comes while it draws a key.
        """
        end = time.monotonic() + PATIENCE
        self.type(press)
        while not (found := re.search(pattern, self.seen)):
            if not select.select([self._ours], [], [], 1)[0]:
                assert time.monotonic() < end, self.seen
                self.type(press)
                continue
            try:
                self.seen += os.read(self._ours, 65536).decode()
            except OSError:  # Linux's word for the end of a terminal
                pytest.fail(f"{pattern} was not seen: {self.seen}")
        before, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return before

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)


@pytest.fixture
def terminal(root: Path, clean_environment: dict[str, str]) -> Iterator[Terminal]:
    words = ["try", "latest", "--local", "--local-root", str(root), "--max-new-tokens", "8"]
    made = Terminal(words, clean_environment | {"TERM": "dumb"})
    yield made
    made.close()


def test_a_person_converses_stops_an_answer_judges_and_leaves(terminal: Terminal, root: Path) -> None:
    terminal.until(f"{GROUP} version 1; /help shows the commands, ctrl-C ends an answer, ctrl-D the session\r\n")
    terminal.until("> ")
    terminal.type("w1 w2 w3\n")
    first = terminal.until("> ")
    name = re.search(r"inference id ([0-9a-f]{32})", first)
    assert name and "8 tokens of answer in " in first
    (kept,) = conversations.captures(root, NAME).rglob("*.jsonl")
    reply = json.loads(json.loads(kept.read_text())["captureData"]["endpointOutput"]["data"])
    assert reply["choices"][0]["message"]["content"] in first

    terminal.type("/base\n")
    assert "--- the base model\r\n" in terminal.until("> ")
    terminal.type("/basee\n")
    assert "did you mean /base?" in terminal.until("> ")
    terminal.type("half a line")
    terminal.until("half a line")
    terminal.until("ctrl-D or /quit ends\r\n", press="\x03")
    terminal.until("> ")
    terminal.type("/up fine\n")
    terminal.until("noted: ")
    terminal.until("> ")  # ctrl-D means the end to readline alone
    terminal.type("\x04")
    assert terminal.process.wait(PATIENCE) == 0
    (history,) = (root / "history").iterdir()
    assert history.stat().st_mode & 0o777 == 0o600 and "w1 w2 w3\n" in history.read_text()
    (said,) = conversations.feedback(root, NAME).rglob("*.jsonl")
    assert json.loads(said.read_text())["inference_id"] == name[1]


def test_ctrl_c_ends_an_answer_and_not_the_model(root: Path) -> None:
    store = Store(root)
    (adapter,) = store.path("s3://dpo-bucket/runs").rglob("adapters/dpo")
    request = {"messages": [{"role": "user", "content": "w1"}], "tools": None, "temperature": 0.0, "as_base": False}
    model = Speaker("version 1", [f"--adapter={adapter}", f"--base={store.path(BASE)}"])
    try:
        came = []

        def heard(text: str) -> None:
            if not came:
                os.kill(os.getpid(), signal.SIGINT)
            came.append(text)

        stopped = model.ask({**request, "max_new_tokens": POSITIONS - 100}, heard)
        assert stopped["stopped"] and 0 < stopped["answer"]["tokens"] < POSITIONS - 100
        whole = model.ask({**request, "max_new_tokens": 4}, heard)
        assert not whole["stopped"] and whole["answer"]["tokens"] == 4
        with pytest.raises(UserError, match="the prompt is too long: 2 tokens"):
            model.ask({**request, "max_new_tokens": POSITIONS}, heard)
        base = model.ask({**request, "max_new_tokens": 4, "as_base": True}, heard)
        assert base["answer"]["text"] != whole["answer"]["text"]
        model._send({**request, "max_new_tokens": POSITIONS - 100})
        model._process.stdout.close()
        assert model._process.wait(PATIENCE) == 0  # whoever asked has gone, and nobody reads a traceback
    finally:
        model.close()
