"""How far a merge is: a bar with MB/s on a terminal, a line every few seconds in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from steps.shared.signs import phases

SECONDS_BETWEEN_LINES = 3


class Progress:
    """Counts the bytes that are written, of `total`."""

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0
        self._begin = self._last = time.monotonic()
        self._bar = None
        if sys.stdout.isatty():
            from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

            self._bar = Progress(
                "merging", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(), transient=True
            )
            self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> Progress:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, size: int) -> None:
        self._done += size
        now = time.monotonic()
        if self._bar:
            self._bar.advance(self._task, size)
        elif now - self._last >= SECONDS_BETWEEN_LINES and self._done < self._total:
            self._last = now
            rate = self._done / 1e6 / (now - self._begin)
            phases.tell("merging MB", self._done // 10**6, self._total // 10**6)
            print(f"{self._done / 1e6:.0f} of {self._total / 1e6:.0f} MB, {rate:.0f} MB/s", flush=True)
