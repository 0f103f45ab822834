"""A hub that does not answer ends a step in seconds, with what to do; one that answers anything is asked on."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from huggingface_hub import constants

from steps.shared import hub
from steps.shared.contract import StepError

NAME = "org/tiny"
NOBODY = "http://127.0.0.1:9"  # discard: nothing listens there


class Answer(BaseHTTPRequestHandler):
    status = 200

    def do_HEAD(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A hub that takes a connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_the_limit_leaves_room_for_a_clear_end_within_15_seconds() -> None:
    assert hub.SECONDS + 1 <= 12


def test_one_that_says_nothing_is_given_up(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "SECONDS", 0.3)
    monkeypatch.setenv("HF_ENDPOINT", silent)
    said = (
        rf"^{NAME}: the hub {silent} cannot be reached \(no answer within 0\.3 s\); check the network and the proxy, or"
    )
    with pytest.raises(StepError, match=said):
        hub.require(NAME)


def test_so_is_one_whose_name_is_looked_up_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look-up of a name has no limit of its own."""
    monkeypatch.setattr(hub, "SECONDS", 0.1)
    monkeypatch.setattr(hub, "_asked", lambda *_: time.sleep(30))
    assert "no answer within 0.1 s" in str(hub.no_answer(NAME))


def test_where_nobody_listens_it_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", NOBODY)
    assert f"{NOBODY} cannot be reached ([Errno 111] Connection refused)" in str(hub.no_answer(NAME))


@pytest.mark.parametrize("status", [200, 307, 401, 404, 500])
def test_any_answer_leaves_the_rest_to_the_hubs_library(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answer, "status", status)
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        assert hub.require(NAME, "a branch/x")
        server.shutdown()


def test_what_this_machine_has_is_taken_and_said(empty_cache: Path, monkeypatch, capsys) -> None:
    commit = "a1" * 20
    cached = empty_cache / "models--org--tiny"
    (cached / "snapshots" / commit).mkdir(parents=True)
    (cached / "snapshots" / commit / "config.json").write_text("{}")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    monkeypatch.setenv("HF_ENDPOINT", NOBODY)
    assert not hub.require(NAME)
    assert capsys.readouterr().out.endswith("; taken from this machine's cache\n")


def test_offline_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "no_answer", lambda *_: pytest.fail("asked"))
    assert not hub.require(NAME)
