"""A branch of a hub model is one commit for the whole execution; asked of a server that answers as the hub does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import huggingface_hub
import pytest
from huggingface_hub import constants

from steps.champion.__main__ import main
from steps.champion.base_commit import commit_of
from steps.shared.contract import StepError

FIRST, SECOND = "a1" * 20, "b2" * 20
CONFIG = b'{"model_type": "qwen3"}'
TOKEN = "hf_secret"


class Hub(ThreadingHTTPServer):
    """The hub, as far as its library asks it for a file at a revision: org/tiny, and org/gated with a token only."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.main, self.files, self.asked = FIRST, ["config.json"], list[str]()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        words = self.path.partition("?")[0].strip("/").split("/")
        if words[:2] == ["api", "models"]:
            self._api("/".join(words[2:4]), words[4:])
        else:
            self._file("/".join(words[:2]), words[3])

    do_HEAD = do_GET

    def _api(self, name: str, words: list[str]) -> None:
        commit = self._commit(name, words[1])
        files = [{"type": "file", "path": file, "size": len(CONFIG), "oid": "0" * 40} for file in self.server.files]
        if commit and words[0] == "tree":
            self._send(200, json.dumps(files).encode())
        elif commit:
            found = {"id": name, "sha": commit, "siblings": [{"rfilename": file["path"]} for file in files]}
            self._send(200, json.dumps(found).encode())

    def _file(self, name: str, revision: str) -> None:
        if commit := self._commit(name, revision):
            if name == "org/gated" and self.headers["Authorization"] != f"Bearer {TOKEN}":
                self._refuse(401, "GatedRepo", "Access to model org/gated is restricted.")
            else:
                self._send(200, CONFIG, {"X-Repo-Commit": commit, "ETag": '"e1"'})

    def _commit(self, name: str, revision: str) -> str | None:
        if name not in ("org/tiny", "org/gated"):
            self._refuse(401, "RepoNotFound", "Repository not found")
        elif revision in (self.server.main, FIRST):
            return revision
        elif revision != "main":
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        else:
            return self.server.main
        return None

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": message})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with Hub() as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
        server.shutdown()


def test_a_branch_is_the_commit_that_it_is_at_this_moment(hub: Hub) -> None:
    assert commit_of("org/tiny", "main") == FIRST
    hub.main = SECOND
    assert commit_of("org/tiny", "main") == SECOND


def test_a_commit_stays_as_it_is_and_nobody_is_asked(hub: Hub) -> None:
    assert commit_of("org/elsewhere", SECOND) == SECOND
    assert hub.asked == []


@pytest.mark.parametrize(
    ("name", "revision", "files", "said"),
    [
        (
            "org/none",
            "main",
            ["config.json"],
            "there is no such model, or it is private; check ModelId, or give a token",
        ),
        ("org/tiny", "v9", ["config.json"], "it has no such branch, tag or commit; check ModelRevision$"),
        ("org/gated", "main", ["config.json"], "it is gated; ask for access on its page, and give a token that has it"),
        ("org/tiny", "main", ["README.md"], r"it has no config\.json, so it is no model for transformers"),
        ("org/tiny", "bad revision/..", ["config.json"], "it has no such branch"),
        ("org/a(1)", "main", ["config.json"], r"Repo id must use alphanumeric .*; check ModelId, ModelRevision and"),
    ],
)
def test_what_the_hub_does_not_give_is_one_sentence_that_names_it(hub: Hub, name, revision, files, said) -> None:
    hub.files = files
    start = re.escape(f"{name} (revision {revision}): the hub did not say which commit that is: ")
    with pytest.raises(StepError, match=f"^{start}{said}") as error:
        commit_of(name, revision)
    assert "\n" not in str(error.value)


def test_a_gated_model_is_asked_for_with_the_token(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert commit_of("org/gated", "main") == FIRST


def test_a_hub_that_does_not_answer_ends_the_job_also_where_a_cache_could(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = tmp_path / "models--org--tiny"
    (cached / "snapshots" / FIRST).mkdir(parents=True)
    (cached / "snapshots" / FIRST / "config.json").write_bytes(CONFIG)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(FIRST)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # discard: nothing listens there
    with pytest.raises(StepError, match=r"Connection refused\); check the network and the proxy, then start again"):
        commit_of("org/tiny", "main")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # the user's own word that the cache is to be taken
    assert commit_of("org/tiny", "main") == FIRST


def test_a_proxy_that_cannot_be_used_is_one_sentence(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*words: object, **more: object) -> None:
        raise ImportError("Using SOCKS proxy, but the 'socksio' package is not installed.")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refused)
    with pytest.raises(StepError, match=r"Using SOCKS proxy, .* not installed; check .* the network \(a proxy\?\)"):
        commit_of("org/tiny", "main")


def test_the_execution_gets_the_commit_and_its_checkpoints_a_place_of_their_own(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s3" / "bucket").mkdir(parents=True)
    (tmp_path / "s3" / "bucket" / "a.jsonl").write_text("{}")
    monkeypatch.setenv("LOCAL_STORE", str(tmp_path / "s3"))
    monkeypatch.setenv("LOCAL_REGISTRY", str(tmp_path / "registry"))

    def found(*words: str) -> dict[str, str]:
        common = ["--group", "g", "--placeholder", "s3://bucket/recipe/", "--data", "s3://bucket/a.jsonl"]
        main([*common, *words, "--origin", "org/tiny", "--output", str(tmp_path / "out")])
        return json.loads((tmp_path / "out" / "champion.json").read_text())

    first = found("--model", "org/tiny", "--revision", "main")
    assert first["model_commit"] == FIRST
    assert f"base: org/tiny at {FIRST} (revision main)\n" in capsys.readouterr().out
    assert found("--model", "org/tiny", "--revision", FIRST)["origins_hash"] == first["origins_hash"]
    hub.main = SECOND
    second = found("--model", "org/tiny", "--revision", "main")
    assert second["model_commit"] == SECOND and second["origins_hash"] != first["origins_hash"]
    assert found()["model_commit"] == "none"  # a base in S3
