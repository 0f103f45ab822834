"""A sign of life for every command, whatever it waits for: the front door runs each command under it.

It hears all that the command writes. When nothing was written for a while it says on stderr that the command still
works, and for how long: on a terminal as a line that the next word replaces, elsewhere as often as `beat` says. It
keeps still while something else shows that, or a person is asked. Limits: what another program writes to the terminal
it does not hear. Imports the standard library only, as every command starts with it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from threading import RLock
from typing import Any, TextIO

from pipeline.texts import duration
from pipeline.watching import beat

ERASE = "\r\x1b[2K"
DUMB = ("dumb", "unknown")  # values of TERM
REDRAWN_SECONDS = 1.0


@contextlib.contextmanager
def underway(command: str) -> Iterator[None]:
    """While the context lasts, the silence of a command is filled."""
    before = sys.stdout, sys.stderr
    if None in before:  # closed by the shell (`2>&-`): Python then writes nothing, and who would read this
        yield
        return
    beat.said(time.monotonic())
    redraws = before[1].isatty() and os.environ.get("TERM", "").lower() not in DUMB
    silence = _Silence(before[1], command, redraws=redraws)
    every = REDRAWN_SECONDS if redraws else beat.DUMB_SECONDS if before[1].isatty() else beat.PIPE_SECONDS
    with beat.Pulse(every, silence.fill) as pulse:
        silence.pulse = pulse
        sys.stdout, sys.stderr = _Heard(before[0], silence), _Heard(before[1], silence)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before
            silence.end()
            beat.said(None)


class _Silence:
    """What is said into a command's silence, and whether it stands on the terminal now."""

    def __init__(self, terminal: TextIO, command: str, *, redraws: bool) -> None:
        self.lock = RLock()
        self.pulse: beat.Pulse | None = None
        self._terminal, self._command, self._redraws = terminal, command, redraws
        self._begun = time.monotonic()
        self._within_line, self._drawn, self._over = False, False, False

    def fill(self) -> None:
        """Say that the command still works, unless something else does, or a line has begun that goes on."""
        with self.lock:
            if beat.held() or self._over or (self._redraws and self._within_line):
                return
            text = f"{self._command}: still working, {duration(time.monotonic() - self._begun)}"
            if self._redraws:
                text = text[: shutil.get_terminal_size().columns - 1]
            with contextlib.suppress(OSError):  # nobody is there any more: the command itself will see it
                self._terminal.write(f"{ERASE}\x1b[2m{text}\x1b[0m" if self._redraws else f"{text}\n")
                self._terminal.flush()
                self._drawn = self._redraws
            beat.said(time.monotonic())

    def broken(self, text: str) -> None:
        """Something else is about to be written; the lock is held."""
        self._erase()
        beat.said(time.monotonic())
        if self.pulse:
            self.pulse.touch()
        if text:  # whoever holds the silence leaves a whole line: a spinner erases its own, and a person presses Enter
            self._within_line = not (beat.held() or text.endswith("\n"))

    def end(self) -> None:
        """The command has ended."""
        with self.lock:
            self._over = True
            self._erase()

    def _erase(self) -> None:
        if self._drawn:
            self._drawn = False
            with contextlib.suppress(OSError):
                self._terminal.write(ERASE)
                self._terminal.flush()


class _Heard:
    """A stream whose words break the silence; in all else it is the stream itself."""

    def __init__(self, stream: TextIO, silence: _Silence) -> None:
        self._stream, self._silence = stream, silence

    def write(self, text: str) -> int:
        with self._silence.lock:
            self._silence.broken(text)
            return self._stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
