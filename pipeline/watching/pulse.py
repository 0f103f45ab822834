"""A sign of life while something takes long: a spinner on a terminal, a line now and then anywhere else.

On a terminal that cannot be redrawn a line comes as often as `beat` says, and in files and pipes. What ends sooner says
nothing there.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.text import Text

from pipeline.texts import duration
from pipeline.watching import beat
from pipeline.watching.beat import Pulse, hold


def redraws(console: Console) -> bool:
    """Whether lines can be drawn again, which a terminal of TERM=dumb cannot."""
    return console.is_terminal and not console.is_dumb_terminal


def seconds(console: Console) -> float:
    """How long nothing may be said where lines cannot be drawn again."""
    return beat.DUMB_SECONDS if console.is_terminal else beat.PIPE_SECONDS


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
