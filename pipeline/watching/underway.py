"""A sign of life for every command, whatever it waits for: the front door runs each command under it.

It hears all that the command writes. When nothing was written for a while it says that the command still works, and for
how long: on a terminal as a line that the next word replaces, elsewhere as `pulse` does. It keeps still while something
else shows that it works, or a person is asked. Limits: what another program writes to the terminal it does not hear.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from threading import RLock
from typing import Any, TextIO

from rich.console import Console

from pipeline.texts import duration
from pipeline.watching import pulse

ERASE = "\r\x1b[2K"
REDRAWN_SECONDS = 1.0


@contextlib.contextmanager
def underway(console: Console, what: str) -> Iterator[None]:
    """While the context lasts, a command's silence is filled.

    Args:
        console: stderr's.
        what: the command's name.
    """
    redraws = pulse.redraws(console)
    silence = _Silence(console, what, redraws=redraws)
    every = REDRAWN_SECONDS if redraws else pulse.seconds(console)
    before = sys.stdout, sys.stderr
    with pulse.Pulse(every, silence.fill) as beat:
        silence.beat = beat
        sys.stdout, sys.stderr = _Heard(before[0], silence), _Heard(before[1], silence)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before
            silence.end()


class _Silence:
    """What is said into a command's silence, and whether it stands on the terminal now."""

    def __init__(self, console: Console, what: str, *, redraws: bool) -> None:
        self.lock = RLock()
        self.beat: pulse.Pulse | None = None
        self._console, self._what, self._redraws = console, what, redraws
        self._terminal = console.file
        self._begun = time.monotonic()
        self._within_line, self._drawn, self._over = False, False, False

    def fill(self) -> None:
        """Say that the command still works, unless something else does, or the cursor stands within a line."""
        with self.lock:
            if pulse.held() or self._over or (self._redraws and self._within_line):
                return
            text = f"{self._what}: still working, {duration(time.monotonic() - self._begun)}"
            if not self._redraws:
                self._console.print(text, style="dim", markup=False, highlight=False, soft_wrap=True)
                return
            self._terminal.write(f"{ERASE}\x1b[2m{text[: self._console.width - 1]}\x1b[0m")
            self._terminal.flush()
            self._drawn = True

    def broken(self, text: str) -> None:
        """Something else is about to be written."""
        self._erase()
        if self.beat:
            self.beat.touch()
        if text:
            self._within_line = not text.endswith("\n")

    def end(self) -> None:
        """The command has ended."""
        with self.lock:
            self._over = True
            self._erase()

    def _erase(self) -> None:
        if self._drawn:
            self._terminal.write(ERASE)
            self._terminal.flush()
            self._drawn = False


class _Heard:
    """A stream whose words break the silence; in all else it is the stream itself."""

    def __init__(self, stream: TextIO, silence: _Silence) -> None:
        self._stream, self._silence = stream, silence

    def write(self, text: str) -> int:
        with self._silence.lock:
            self._silence.broken(text)
            return self._stream.write(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
