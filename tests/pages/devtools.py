"""A headless Chromium that is started once and then asked over its DevTools protocol, by pipes: no port, no library.

A call waits for its answer, and one page is open at a time; events that nobody waits for are dropped.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-default-apps",
    "--disable-domain-reliability", "--disable-dev-shm-usage", "--remote-debugging-pipe", "--no-startup-window",
)  # fmt: skip
# Chromium reads commands from descriptor 3 and writes answers to 4; Popen can hand over only these two in place.
WITH_PIPES = ("sh", "-c", 'exec "$@" 3<&0 4>&1 </dev/null >&2', "sh")
TIMEOUT = 120  # seconds for one answer; a first start on a busy machine is slow


class DevTools:
    """Commands and events of one browser; `session` is the page that they are for."""

    def __init__(self, process: subprocess.Popen[bytes], said: Path):
        self.process, self.said, self.session = process, said, ""
        self.sent = 0
        self.unread = b""
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a command, to the open page or, where none is open, to the browser."""
        self.sent += 1
        message = {"id": self.sent, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.process.stdin.write(json.dumps(message).encode() + b"\0")
        self.process.stdin.flush()
        while (answer := self._read()).get("id") != self.sent:
            self.events.append(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def wait_for(self, event: str) -> None:
        """Until the open page has sent it, since it was opened."""
        while not any((seen["method"], seen.get("sessionId")) == (event, self.session) for seen in self.events):
            self.events.append(self._read())

    @contextmanager
    def page(self) -> Iterator[None]:
        """An empty page, which commands are for from here on, with a cache and storage of its own."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.events.clear()
        try:
            yield
        finally:
            self.session = ""
            self.call("Target.disposeBrowserContext", browserContextId=context)

    def _read(self) -> dict[str, Any]:
        """The next message."""
        until = time.monotonic() + TIMEOUT
        while b"\0" not in self.unread:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, until - time.monotonic()))
            got = os.read(self.process.stdout.fileno(), 1 << 20) if ready else b""
            assert got, f"Chromium {'has ended' if ready else 'does not answer'}: {self.said.read_text()[-2000:]}"
            self.unread += got
        message, _, self.unread = self.unread.partition(b"\0")
        return json.loads(message)


@contextmanager
def started(command: str, flags: Sequence[str]) -> Iterator[DevTools]:
    """A browser with a new profile, ended with its helpers when the block ends."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        said = Path(folder, "stderr.txt")
        words = [*WITH_PIPES, command, *FLAGS, *flags, f"--user-data-dir={folder}/profile"]
        with said.open("wb") as file:
            process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, start_new_session=True
            )
        with process:
            try:
                yield DevTools(process, said)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # its helpers too
