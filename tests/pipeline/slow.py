"""A slow world: AWS and the files of this machine answer only when the command that waits has shown that it works.

So a test of signs of life needs no clock: a command without them is given up after GIVE_UP seconds, however fast or
busy the machine is.
"""

from __future__ import annotations

import builtins
import contextlib
import http.client
import os
import pty
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

GIVE_UP = 60.0
LOOKS = 3  # files a command waits for; the others come at once
HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


class Screen:
    """A terminal, and what a command has written on it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._signs, self.text = 0, ""
        self.waited, self.silent = 0, list[str]()
        self._master, slave = pty.openpty()
        self.stream = os.fdopen(slave, "w", buffering=1, encoding="utf-8")
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # the other end was closed
            while content := os.read(self._master, 65536):
                with self._changed:
                    self._signs += 1
                    self.text += content.decode(errors="replace")
                    self._changed.notify_all()

    def until_a_sign(self, what: str) -> None:
        """Wait until something more is written."""
        with self._changed:
            before, self.waited = self._signs, self.waited + 1
            if not self._changed.wait_for(lambda: self._signs > before, GIVE_UP):
                self.silent.append(what)

    def close(self) -> None:
        self.stream.close()
        os.close(self._master)


@contextmanager
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    """stdout and stderr are a terminal that cannot be redrawn."""
    found = Screen()
    with monkeypatch.context() as patch:
        patch.setenv("TERM", "dumb")
        patch.setattr(sys, "stdout", found.stream)
        patch.setattr(sys, "stderr", found.stream)
        try:
            yield found
        finally:
            found.close()


@contextmanager
def server(behind: str, before: Callable[[str], None]) -> Iterator[str]:
    """The address of a server that hands each request on to another one.

    Args:
        before: is told of each request, and may take its time.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            before(f"{self.command} {self.path} {self.headers.get('X-Amz-Target', '')}")
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            there = http.client.HTTPConnection(urlsplit(behind).netloc)
            there.request(self.command, self.path, body, dict(self.headers.items()))
            answer = there.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in HOP:
                    self.send_header(name, value)
            size = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", size or "0")
            self.end_headers()
            self.wfile.write(content)
            there.close()

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_one

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as slow:
        slow.daemon_threads = True
        threading.Thread(target=slow.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://127.0.0.1:{slow.server_port}"
        slow.shutdown()


def slow_files(monkeypatch: pytest.MonkeyPatch, before: Callable[[str], None]) -> None:
    """The first looks that a command's own thread takes at files and folders take their time."""
    looks = [0]

    def slowly(function: Callable[..., Any]) -> Callable[..., Any]:
        def look(path: Any, *words: Any, **options: Any) -> Any:
            if threading.current_thread() is threading.main_thread() and looks[0] < LOOKS:
                looks[0] += 1
                before(f"{function.__name__} {path}")
            return function(path, *words, **options)

        return look

    for name in ("read_text", "read_bytes", "glob", "is_file", "exists"):
        monkeypatch.setattr(Path, name, slowly(getattr(Path, name)))
    monkeypatch.setattr(builtins, "open", slowly(open))
