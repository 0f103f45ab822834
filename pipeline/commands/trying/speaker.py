"""A model in a process of its own that stays: asked by lines of JSON, as steps/answer/stay.py says.

The process is in a session of its own, so that ctrl-C reaches this one alone, which passes it on where an answer is
being given. It ends with its stdin, and so with this process, however that ends.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import typer

from pipeline.commands.shared.options import stderr
from pipeline.errors import UserError
from pipeline.files import ROOT
from pipeline.watching import pulse

MODULE = "steps.answer"


class Speaker:
    """Who answers: a loaded model.

    Attributes:
        name: how the user knows it, as `version 2`.
    """

    def __init__(self, name: str, words: Sequence[str]):
        """Start to load; ends when the model is there.

        Args:
            words: which files, for steps.answer.

        Raises:
            typer.Exit: it cannot be loaded; the process has said why.
        """
        self.name = name
        command = [sys.executable, "-m", MODULE, *words, "--stay"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        try:
            with pulse.working(stderr, f"loading {name}"):
                ready = self._event()
        except BaseException:
            self.close()
            raise
        if ready is None:
            code = self._process.wait() or 1
            self.close()
            raise typer.Exit(code)

    def ask(self, request: Mapping[str, Any], heard: Callable[[str], None]) -> dict[str, Any]:
        """The answer to a request; `heard` is given its text while it comes. Ctrl-C ends the answer, twice the session.

        Raises:
            UserError: it cannot be answered, or the process ended.
        """
        with self._interrupts():
            self._send(request)
            while event := self._event():
                if "text" in event:
                    heard(event["text"])
                elif "error" in event:
                    raise UserError(event["error"])
                else:
                    return event
        raise UserError(f"{self.name}: its process ended (exit code {self._process.wait()}); begin again with `try`")

    def close(self) -> None:
        """End the process, which has nothing to put in order."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _send(self, request: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended, which the lack of an answer says
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()

    def _event(self) -> dict[str, Any] | None:
        """The next line of the process; None where it has ended."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return json.loads(line) if line.endswith(b"\n") else None

    @contextlib.contextmanager
    def _interrupts(self) -> Iterator[None]:
        """Pass the first ctrl-C on. No exception comes of it here: it would lose half a line of the process."""
        came: list[int] = []

        def note(number: int, _: object) -> None:
            if came:
                raise KeyboardInterrupt
            came.append(number)
            self._process.send_signal(signal.SIGINT)

        before = signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
