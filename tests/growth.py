"""How the time of a call grows with its input: a ratio of two CPU times, in place of seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

TIMES = 4  # by which the input grows
REPEATS = 5


def is_linear(call: Callable[[int], object], size: int) -> bool:
    """Whether an input four times as large takes less than ten times as long; quadratic growth would take sixteen."""
    small, large = (min(_seconds(call, size * times) for _ in range(REPEATS)) for times in (1, TIMES))
    return large < 10 * small


def _seconds(call: Callable[[int], object], size: int) -> float:
    started = time.process_time()
    call(size)
    return time.process_time() - started
