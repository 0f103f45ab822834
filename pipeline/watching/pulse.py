"""A sign of life while something takes long: a spinner on a terminal, a line now and then anywhere else.

On a terminal that cannot be redrawn (TERM=dumb) a line comes at least every 5 seconds; in files, pipes and continuous
integration, where nobody waits before the screen, one a minute. What ends sooner says nothing there.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from threading import Event, Thread

from rich.console import Console
from rich.text import Text

from pipeline.texts import duration

DUMB_SECONDS = 4.0  # a look at the clock comes on top
PIPE_SECONDS = 60.0


def redraws(console: Console) -> bool:
    """Whether lines can be drawn again, which a terminal of TERM=dumb cannot."""
    return console.is_terminal and not console.is_dumb_terminal


def seconds(console: Console) -> float:
    """How long nothing may be said where lines cannot be drawn again."""
    return DUMB_SECONDS if console.is_terminal else PIPE_SECONDS


_holds: list[str] = []  # who shows already that something goes on, or waits for a person


def held() -> bool:
    """Whether nothing is to be said by those who fill silence."""
    return bool(_holds)


@contextlib.contextmanager
def hold(why: str) -> Iterator[None]:
    """Fill no silence while the context lasts: its end is seen otherwise, or somebody is asked."""
    _holds.append(why)
    try:
        yield
    finally:
        _holds.remove(why)


class Pulse:
    """Says something whenever nothing was said for so many seconds, until it is left."""

    def __init__(self, every: float, say: Callable[[], None]) -> None:
        self._every, self._say, self._left = every, say, Event()
        self._last = time.monotonic()
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


@contextlib.contextmanager
def working(console: Console, what: str, *, redraw: bool = True) -> Iterator[Callable[[str], None]]:
    """While the context lasts it is seen that `what` goes on. What it gives is told how far that is (`3 of 7 files`).

    Nobody may be asked anything meanwhile, and nothing but this console may write to the terminal.

    Args:
        redraw: False where another program writes to the terminal all the same: lines then, there too.
    """
    begun, far = time.monotonic(), [""]

    def text() -> Text:
        parts = [what, *filter(None, far), duration(time.monotonic() - begun)]
        return Text(" · ".join(parts), style="dim")

    if not (redraw and redraws(console)):
        with hold(what), Pulse(seconds(console), lambda: console.print(text(), soft_wrap=True)):
            yield lambda now: far.__setitem__(0, now)
        return
    with hold(what), console.status(text()) as status, Pulse(0.5, lambda: status.update(text())):
        yield lambda now: far.__setitem__(0, now)
