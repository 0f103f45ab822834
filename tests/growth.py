"""How the time of a call grows with its input: a ratio of two CPU times, in place of seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

TIMES = 4  # by which the input grows
REPEATS = 5
LEAST_SECONDS = 0.01  # that are measured at a time: less is lost in what else the machine does


def is_linear(call: Callable[[int], object], size: int) -> bool:
    """Whether an input four times as large takes less than ten times as long; quadratic growth would take sixteen.

    The larger input should fit the cache: beyond it time jumps for another reason.
    """
    calls = 1
    while _seconds(call, size, calls) < LEAST_SECONDS:
        calls *= 2
    pairs = [(_seconds(call, size, calls), _seconds(call, size * TIMES, calls)) for _ in range(REPEATS)]
    small, large = (min(seconds) for seconds in zip(*pairs, strict=True))
    return large < 10 * small


def _seconds(call: Callable[[int], object], size: int, calls: int) -> float:
    started = time.process_time()
    for _ in range(calls):
        call(size)
    return time.process_time() - started
