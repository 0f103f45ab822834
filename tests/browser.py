"""A headless Chromium for tests of pages: what it makes of one, how that looks, and what it asks the network for.

The browser sees no network but the server here, which is its proxy too: whatever a page asks for, of any host, is
recorded. It is driven by its command line alone, with a profile that lasts for one call.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-default-apps",
    "--disable-domain-reliability", "--disable-dev-shm-usage", "--virtual-time-budget=3000",
)  # fmt: skip
TIMEOUT = 120  # seconds; a first start on a busy machine is slow
HOST = "page.test"
OWN = (".google.com", ".gstatic.com", ".googleapis.com")  # asked by the browser itself, page or no page


@dataclass
class Browser:
    """The browser on pages that a test hands over by name. `requests` is what they asked for."""

    command: str
    port: int
    pages: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def dom(self, page: str) -> str:
        """The document as HTML, once the page's scripts, if it has any, have run."""
        return self._run(page, "--dump-dom").decode()

    def picture(self, page: str, file: Path, width: int, height: int, dark: bool = False) -> Picture:
        """A screenshot, as PNG in `file`."""
        scheme = "--blink-settings=preferredColorScheme=" + ("0" if dark else "1")
        self._run(page, f"--screenshot={file}", f"--window-size={width},{height}", scheme)
        return Picture.read(file)

    def widths_in(self, page: str, widths: Sequence[int]) -> list[int]:
        """How wide a page's content is in windows of these widths: more, where it has to be scrolled sideways."""
        style = "height:600px;border:0;width:"
        frames = "".join(f'<iframe src="/{page}" style="{style}{width}px"></iframe>' for width in widths)
        script = """onload = () => { document.title =
            [...document.querySelectorAll('iframe')].map(it => it.contentDocument.documentElement.scrollWidth) }"""
        self.pages["frames.html"] = f"<!doctype html><title></title>{frames}<script>{script}</script>".encode()
        return [int(width) for width in self.dom("frames.html").split("<title>")[1].split("</title>")[0].split(",")]

    def _run(self, page: str, *flags: str) -> bytes:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            network = (f"--proxy-server=http://127.0.0.1:{self.port}", "--proxy-bypass-list=<-loopback>")
            words = [self.command, *FLAGS, *network, f"--user-data-dir={profile}", *flags, f"http://{HOST}/{page}"]
            process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
            try:
                out, errors = process.communicate(timeout=TIMEOUT)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # its helpers too, which outlive it for a moment
        assert process.returncode == 0, errors.decode(errors="replace")
        return out


@dataclass(frozen=True)
class Picture:
    """A PNG: its size, and how many different lines of pixels it has; a blank one has two at most."""

    width: int
    height: int
    lines: int

    @classmethod
    def read(cls, file: Path) -> Picture:
        data = file.read_bytes()
        assert data.startswith(b"\x89PNG\r\n\x1a\n")
        width, height = (int.from_bytes(data[start : start + 4], "big") for start in (16, 20))
        place, packed = 8, b""
        while place < len(data):
            size = int.from_bytes(data[place : place + 4], "big")
            if data[place + 4 : place + 8] == b"IDAT":
                packed += data[place + 8 : place + 8 + size]
            place += size + 12
        pixels = zlib.decompress(packed)
        line = len(pixels) // height
        return cls(width, height, len({pixels[start : start + line] for start in range(0, len(pixels), line)}))


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A browser, or a skipped test where there is none."""
    command = next(filter(None, map(shutil.which, NAMES)), None)
    if command is None:
        pytest.skip("no Chromium on PATH; install one: apt-get install -y chromium")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Recorder)
    browser = Browser(command, server.server_port)
    server.browser = browser
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield browser
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Recorder(BaseHTTPRequestHandler):
    """Serves the browser's pages, and notes what else is asked for, which nobody gets."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        page = self.server.browser.pages.get(url.path[1:]) if url.hostname == HOST else None
        if page is None:
            self._refuse()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def _refuse(self) -> None:
        host = urlsplit(self.path if "//" in self.path else f"//{self.path}").hostname or ""
        if not host.endswith(OWN):
            self.server.browser.requests.append(self.path)
        self.send_error(404)

    do_CONNECT = do_POST = do_HEAD = _refuse

    def log_message(self, *_: object) -> None:
        """Not on the tests' output."""
