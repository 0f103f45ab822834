"""Limits on what a template may take: templates are programs, and one of them may loop, or write without end.

Time is of the processor, and only the main thread can be interrupted, which is where every step renders; in another the
block is not limited. Memory is the process's address space (Linux): an allocation beyond the limit fails at once, as
MemoryError, before the machine has to find it. Other threads that allocate at the same moment meet the same limit.
Neither interrupts a single call into C that takes long and little, such as a regular expression of a library's.
"""

from __future__ import annotations

import contextlib
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

SECONDS = 10.0  # of the processor, for all texts of a row, which take milliseconds
MEMORY_BYTES = 2**31  # beside what the process has: a row of 64 MiB takes a quarter of it
STATM = Path("/proc/self/statm")  # pages: the address space first


class TooLong(Exception):
    """The block used up its time."""


_running = False  # whether a time limit holds


def is_limited() -> bool:
    """Whether a time limit holds already, which one inside of it must not end."""
    return _running


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Interrupt the block once it has used this much processor time.

    Raises:
        TooLong: in the block, at the limit.
    """
    global _running
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGVTALRM, _interrupt)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    _running = True
    try:
        yield
    finally:
        _running = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise TooLong


@contextmanager
def memory_limit(size: int) -> Iterator[None]:
    """Let the block have this many bytes beside what the process has; where that cannot be told, it is not limited.

    Raises:
        MemoryError: in the block, at the limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    try:
        most = int(STATM.read_bytes().split()[0]) * resource.getpagesize() + size
    except OSError:
        yield
        return
    if any(limit != resource.RLIM_INFINITY and limit <= most for limit in (soft, hard)):
        yield
        return
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
