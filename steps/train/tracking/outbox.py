"""Entries on their way to a tracker, in a thread of their own: nothing that a tracker does can stop or delay training.

A call that fails is tried again, after 1, 2, 4 … 60 seconds. While a tracker is down its entries are kept in a file as
well, so that a restarted job, or a person, can send them: at least once, since a call may have arrived although its
answer did not.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from steps.shared import contract
from steps.train.tracking.tracker import Entry, Refused, Status, Tracker

log = logging.getLogger("train")

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds between two attempts
UNREACHED_SECONDS = 5.0  # that the end waits for a tracker that took nothing in the whole run: a last few attempts


@dataclass(frozen=True)
class Outcome:
    """What became of a run's entries."""

    delivered: int
    undelivered: dict[str, int]  # kind -> entries
    steps: tuple[int, int] | None  # the first and the last step of the undelivered metrics
    refused: list[str]
    closed: bool
    last_error: str | None

    @property
    def whole(self) -> bool:
        return self.closed and not self.undelivered and not self.refused


class Delivery:
    """Hands entries to a tracker in the order in which they came."""

    def __init__(self, tracker: Tracker, buffer: Path, first_pause: float = FIRST_PAUSE):
        self.tracker, self.buffer = tracker, buffer
        self._first_pause = first_pause
        self._waiting: deque[Entry] = deque(read_buffer(buffer))
        self._changed = threading.Condition()
        self._delivered, self._refused = 0, list[str]()
        self._opened = False
        self._error: str | None = None  # of the last attempt; None while the tracker answers
        self._last_error: str | None = None
        self._status: Status | None = None
        self._deadline = float("inf")
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=tracker.name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def started(self) -> bool:
        return self._thread.ident is not None

    def put(self, entry: Entry) -> None:
        """Queue an entry; returns at once."""
        with self._changed:
            self._waiting.append(entry)
            if self._error:
                self._keep([entry], "a")
            self._changed.notify_all()

    def finish(self, status: Status, seconds: float) -> Outcome:
        """End the run; waits at most `seconds` for what is on its way. What does not arrive stays in the file.

        A tracker that failed from the beginning is waited for no longer than UNREACHED_SECONDS.
        """
        with self._changed:
            if self._error and not self._opened:
                seconds = min(seconds, UNREACHED_SECONDS)
            self._status, self._deadline = status, time.monotonic() + seconds
            self._changed.notify_all()
        self._thread.join(timeout=seconds)
        with self._changed:
            if self._waiting:
                self._keep(self._waiting, "w")
            else:
                self.buffer.unlink(missing_ok=True)
            steps = [entry.step for entry in self._waiting if entry.kind == "metrics"]
            whole = self._closed and not self._waiting
            return Outcome(
                delivered=self._delivered,
                undelivered=dict(Counter(entry.kind for entry in self._waiting)),
                steps=(min(steps), max(steps)) if steps else None,
                refused=list(self._refused),
                closed=self._closed,
                last_error=None if whole else self._last_error or f"no answer within {seconds:g} s",
            )

    def _run(self) -> None:
        pause = self._first_pause
        while True:
            entry = self._next(self._opened)
            if entry is None and self._opened and self._status is None:
                continue
            try:
                if not self._opened:
                    self.tracker.open()
                    self._opened = True
                elif entry is None:
                    self.tracker.close(self._status or "KILLED")
                    self._closed = True
                    return
                else:
                    self._send(entry)
            except Exception as error:  # a client can raise anything, and none of it may reach the training
                self._failed(error)
                if not self._pause(pause):
                    return
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                self._answered()
                pause = self._first_pause

    def _next(self, opened: bool) -> Entry | None:
        """The oldest entry, waited for; None to open, or to close."""
        with self._changed:
            while opened and not self._waiting and self._status is None:
                self._changed.wait()
            return self._waiting[0] if self._waiting else None

    def _send(self, entry: Entry) -> None:
        refusal = None
        try:
            self.tracker.send(entry)
        except Refused as error:
            refusal = f"{entry.kind} of step {entry.step}: {error}"
            log.warning("%s: does not take the %s", self.tracker.name, refusal)
        with self._changed:
            self._waiting.popleft()
            if refusal:
                self._refused.append(refusal)
            else:
                self._delivered += 1

    def _failed(self, error: Exception) -> None:
        said = contract.first_line(error)
        with self._changed:
            if self._error is None:
                log.warning(
                    "%s: not reached (%s); training goes on, what it misses is kept in %s and sent again",
                    self.tracker.name, said, self.buffer,
                )  # fmt: skip
                self._keep(self._waiting, "w")
            self._error = self._last_error = said

    def _answered(self) -> None:
        with self._changed:
            if self._error is None:
                return
            if not self._waiting:
                log.info("%s: answers again, nothing is missing", self.tracker.name)
                self._error = None
                self.buffer.unlink(missing_ok=True)

    def _pause(self, seconds: float) -> bool:
        """Wait before the next attempt, less when the run ends meanwhile; False when no time is left for another."""
        until = time.monotonic() + seconds
        with self._changed:
            while time.monotonic() < until and self._status is None:
                self._changed.wait(until - time.monotonic())
            left = self._deadline - time.monotonic()
        if self._status is not None and left > 0:
            time.sleep(min(self._first_pause, left))
        return left > 0

    def _keep(self, entries: Iterable[Entry], mode: Literal["a", "w"]) -> None:
        """Write entries to the buffer. A full disk is said and does not end the training: they are still in memory."""
        try:
            self.buffer.parent.mkdir(parents=True, exist_ok=True)
            with open(self.buffer, mode, encoding="utf-8") as file:
                file.writelines(json.dumps(asdict(entry)) + "\n" for entry in entries)
        except OSError as error:
            log.warning("%s: cannot keep entries in %s: %s", self.tracker.name, self.buffer, error)


def read_buffer(path: Path) -> list[Entry]:
    """The entries that an earlier process left; a last line that was cut off is left out, with a line in the log."""
    if not path.is_file():
        return []
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            found.append(Entry(**json.loads(line)))
        except (ValueError, TypeError):
            log.warning("%s:%d: not a whole entry, left out", path, number)
    return found
