"""How long a phase takes yet, by the rate at which it was seen to go on.

The rate of optimizer steps has the evaluations between them in it. Limits: an even rate is assumed; the first item,
which often takes longer than the others, counts only until there are more.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.watching.watch import Progress


@dataclass
class _Seen:
    first: tuple[float, int]  # when, and how many were done
    last: tuple[float, int]
    total: int


@dataclass
class Pace:
    """What was seen of each counted phase of each step."""

    clock: Callable[[], float] = time.monotonic
    _seen: dict[tuple[str, str], _Seen] = field(default_factory=dict)

    def saw(self, progress: Progress) -> None:
        """Take note of how far a phase is."""
        if progress.done is None or progress.total is None:
            return
        key, now = (progress.step, progress.phase), (self.clock(), progress.done)
        seen = self._seen.get(key)
        if (
            seen is None or progress.done < seen.last[1] or progress.total != seen.total
        ):  # another one, or it began anew
            self._seen[key] = _Seen(now, now, progress.total)
        elif progress.done > seen.last[1]:
            if seen.first[1] == 0 and seen.last[1] > 0:
                seen.first = seen.last
            seen.last = now

    def left(self, progress: Progress) -> float | None:
        """The seconds until the phase of this progress ends; None where it is not counted, or no rate is known yet."""
        seen = self._seen.get((progress.step, progress.phase))
        if seen is None or progress.done is None:
            return None
        (begun, before), (then, done) = seen.first, seen.last
        if done == before:
            return None
        rate = (then - begun) / (done - before)
        return max(0.0, (seen.total - done) * rate - (self.clock() - then))
