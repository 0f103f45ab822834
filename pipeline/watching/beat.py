"""When it is time to say that something still goes on. Imports the standard library only: every command starts with it.

On a terminal that cannot be redrawn (TERM=dumb) a line comes at least every 5 seconds; in files, pipes and continuous
integration, where nobody waits before the screen, one a minute.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from threading import Event, Thread

DUMB_SECONDS = 4.0  # a look at the clock comes on top
PIPE_SECONDS = 60.0

_holds: list[str] = []  # who shows already that something goes on, or waits for a person
_said: list[float] = []  # when a command that is listened to has written something last


def said(moment: float | None) -> None:
    """Take note of when something was written; None: nobody listens any more."""
    _said[:] = [] if moment is None else [moment]


def held() -> bool:
    """Whether nothing is to be said by those who fill silence."""
    return bool(_holds)


@contextlib.contextmanager
def hold(why: str) -> Iterator[None]:
    """Fill no silence while the context lasts: that something goes on is seen otherwise, or somebody is asked."""
    _holds.append(why)
    try:
        yield
    finally:
        _holds.remove(why)


class Pulse:
    """Says something whenever nothing was said for so many seconds, until it is left.

    Of a command that is listened to, the silence before counts too: several short works in a row are one.
    """

    def __init__(self, every: float, say: Callable[[], None]) -> None:
        self._every, self._say, self._left = every, say, Event()
        self._last = _said[0] if _said else time.monotonic()
        self._thread = Thread(target=self._run, daemon=True)

    def touch(self) -> None:
        """Something was said."""
        self._last = time.monotonic()

    def __enter__(self) -> Pulse:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._left.wait(max(0.05, self._last + self._every - time.monotonic())):
            if time.monotonic() - self._last >= self._every:
                self._say()
                self.touch()
