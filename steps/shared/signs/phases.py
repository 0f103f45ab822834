"""What a job is doing, and how far that is: lines of its log, and how they are read back.

The container says `[phase] tokenising 120/792`; whoever watches a run, here or in CloudWatch, shows it, with the time
that is left by the rate that was seen. Limits: the first process of a job speaks for all. Imports the standard library
only.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

EVERY_SECONDS = 5.0  # between two lines that tell how far the same phase is
STEPS = "steps"  # the phase of the optimizer steps, whose metric lines tell their number too
LINE = re.compile(r"\[phase\] (\S[^\n]*?)(?: (\d{1,15})/(\d{1,15}))?\s*")


@dataclass(frozen=True)
class Phase:
    """What goes on; where that is counted, how many are done of how many."""

    name: str
    done: int | None = None
    total: int | None = None


def line(phase: Phase) -> str:
    """`[phase] name`, or `[phase] name 3/7`."""
    far = "" if phase.done is None or phase.total is None else f" {phase.done}/{phase.total}"
    return f"[phase] {phase.name}{far}"


def read(text: str) -> Phase | None:
    """The phase that a line of a log tells; None of any other line."""
    match = LINE.fullmatch(text)
    if match is None:
        return None
    name, done, total = match.groups()
    return Phase(name) if done is None else Phase(name, int(done), int(total))


class Teller:
    """Says what one process is doing: each phase as it begins, and how far it is from time to time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._name, self._next = clock, "", 0.0

    def tell(self, name: str, done: int | None = None, total: int | None = None) -> None:
        """Say it, unless the same phase was told just now; on other ranks than the first nothing is said."""
        now = self._clock()
        if os.environ.get("RANK", "0") != "0" or (name == self._name and now < self._next):
            return
        self._name, self._next = name, now + EVERY_SECONDS
        print(line(Phase(name, done, total)), flush=True)


tell = Teller().tell  # of this process


class Count:
    """Counts what a phase has done, and tells it."""

    def __init__(self, name: str, total: int) -> None:
        self._name, self._done, self._total = name, 0.0, total
        tell(name, 0, total)

    def add(self, number: float) -> None:
        """So many more are done."""
        self._done = min(self._total, self._done + number)
        tell(self._name, int(self._done), self._total)
