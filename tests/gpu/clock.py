"""How long the measurement may take: what does not fit is left out, and named."""

from __future__ import annotations

import time


class OutOfTime(Exception):
    """The minutes are used up."""


class Deadline:
    def __init__(self, seconds: float) -> None:
        self._started, self._seconds = time.monotonic(), seconds

    @property
    def passed(self) -> float:
        return time.monotonic() - self._started

    @property
    def left(self) -> float:
        return self._seconds - self.passed

    def check(self, needed: float = 15.0) -> None:
        """
        Raises:
            OutOfTime: less is left than what comes next needs, in seconds.
        """
        if self.left < needed:
            raise OutOfTime(f"{self.left:.0f} s were left")
