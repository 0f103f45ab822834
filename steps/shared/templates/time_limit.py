"""A limit on the time that a template may take: templates are programs, and one of them may loop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SECONDS = 10.0  # of the processor, for all texts of a row, which take milliseconds


class TooLong(Exception):
    """The block used up its time."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Interrupt the block once it has used this much processor time.

    Only the main thread can be interrupted, which is where every step renders; in another the block is not limited.

    Raises:
        TooLong: in the block, at the limit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGVTALRM, _interrupt)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise TooLong
