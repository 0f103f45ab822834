"""A headless Chromium for tests of pages: what it makes of one, how that looks, and what it asks the network for.

The browser sees no network but the server here, which is its proxy too: whatever a page asks for, of any host, is
recorded. A page is opened anew for every call, with a cache and storage of its own.
"""

from __future__ import annotations

import base64
import shutil
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.pages import devtools
from tests.pages.devtools import DevTools

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 3  # of the page's own time, which passes as fast as it can
DOCUMENT = """(document.doctype ? new XMLSerializer().serializeToString(document.doctype) + "\\n" : "")
    + document.documentElement.outerHTML"""
HOST = "page.test"
OWN = (".google.com", ".gstatic.com", ".googleapis.com")  # asked by the browser itself, page or no page


@dataclass(frozen=True)
class Look:
    """Where a page is seen, by day or by night, and the file for its picture."""

    file: Path
    width: int
    height: int
    dark: bool = False


@dataclass
class Browser:
    """The browser on pages that a test hands over by name. `requests` is what they asked for."""

    devtools: DevTools
    pages: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def dom(self, page: str) -> str:
        """The document as HTML, once the page's scripts, if it has any, have run."""
        with self.devtools.page():
            self._load(page)
            return self.devtools.call("Runtime.evaluate", expression=DOCUMENT)["result"]["value"]

    def pictures(self, page: str, looks: Iterable[Look]) -> list[Picture]:
        """Screenshots of a page that is opened once, as PNG in the looks' files."""
        with self.devtools.page():
            self._load(page)
            return [self._picture(look) for look in looks]

    def _picture(self, look: Look) -> Picture:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if look.dark else "light"}
        size = {"width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": False}
        self.devtools.call("Emulation.setDeviceMetricsOverride", **size)
        self.devtools.call("Emulation.setEmulatedMedia", features=[scheme])
        look.file.write_bytes(base64.b64decode(self.devtools.call("Page.captureScreenshot")["data"]))
        return Picture.read(look.file)

    def widths_in(self, page: str, widths: Sequence[int]) -> list[int]:
        """How wide a page's content is in windows of these widths: more, where it has to be scrolled sideways."""
        style = "height:600px;border:0;width:"
        frames = "".join(f'<iframe src="/{page}" style="{style}{width}px"></iframe>' for width in widths)
        script = """onload = () => { document.title =
            [...document.querySelectorAll('iframe')].map(it => it.contentDocument.documentElement.scrollWidth) }"""
        self.pages["frames.html"] = f"<!doctype html><title></title>{frames}<script>{script}</script>".encode()
        return [int(width) for width in self.dom("frames.html").split("<title>")[1].split("</title>")[0].split(",")]

    def _load(self, page: str) -> None:
        """Open a page in full, and run its timers of the seconds after that."""
        self.devtools.call("Page.enable")
        self.devtools.call("Page.navigate", url=f"http://{HOST}/{page}")
        self.devtools.wait_for("Page.loadEventFired")
        self.devtools.call("Emulation.setVirtualTimePolicy", policy="pauseIfNetworkFetchesPending",
                           budget=1000 * SECONDS, maxVirtualTimeTaskStarvationCount=9999)  # fmt: skip
        self.devtools.wait_for("Emulation.virtualTimeBudgetExpired")


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
    network = (f"--proxy-server=http://127.0.0.1:{server.server_port}", "--proxy-bypass-list=<-loopback>")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    with devtools.started(command, network) as chromium:
        server.browser = Browser(chromium)
        thread.start()
        try:
            yield server.browser
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
