"""Where the lines of a session come from: a person at a terminal, with a history, or a pipe.

The history lies under the local root, in a file for each user that nobody else may read.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.commands.shared.options import say
from pipeline.commands.trying import lines
from pipeline.errors import UserError
from steps.shared.contract import StepError

PROMPT = "> "
GOES_ON = "\\"
LINES_KEPT = 1000


def is_typed() -> bool:
    """Whether a person types what is read."""
    return sys.stdin is not None and sys.stdin.isatty()


def run(take: Callable[[str], bool], read: Callable[[], str], *, is_typed: bool) -> bool:
    """Take line after line until they end or one ends the session; whether all could be taken.

    Args:
        take: is given a line; says whether to go on.
        read: the next line; raises EOFError after the last.
        is_typed: ctrl-C discards the line that is being typed; it ends what reads a pipe.
    """
    is_good, number = True, 0

    def counted() -> str:
        nonlocal number
        line = read()
        number += 1
        return line

    while True:
        try:
            line = whole(counted)
        except EOFError:
            return is_good
        except KeyboardInterrupt:
            if not is_typed:
                raise
            say("\nctrl-D or /quit ends")
            continue
        try:
            if not take(line):
                return is_good
        except (UserError, StepError) as error:
            is_good = False
            say(f"error: {error}" if is_typed else f"error: line {number}: {error}")


def whole(read: Callable[[], str]) -> str:
    """A line, with those after it that a backslash at the end calls for."""
    parts = [read()]
    while parts[-1].endswith(GOES_ON):
        parts[-1] = parts[-1].removesuffix(GOES_ON)
        with suppress(EOFError):
            parts.append(read())
    return "\n".join(parts)


def piped() -> Callable[[], str]:
    """Reads stdin. The first line is waited for here, so that nothing is loaded where none comes.

    Raises:
        UserError: stdin is empty.
    """
    first = [_from_stdin() if sys.stdin is not None else ""]
    if not first[0]:
        raise UserError('nothing is asked: give a prompt ("…"), write lines to stdin, or run this in a terminal')

    def read() -> str:
        line = first.pop() if first else _from_stdin()
        if not line:
            raise EOFError
        return line.rstrip("\r\n")

    return read


def _from_stdin() -> str:
    return sys.stdin.buffer.readline().decode(errors="surrogateescape")  # bytes that are no text are named later


@contextmanager
def typed(root: Path) -> Iterator[Callable[[], str]]:
    """Reads what is typed, with readline's keys, history and completion of commands where this Python has it."""
    readline = _readline()
    if readline is None:
        yield _typed
        return
    path = root / "history" / f"try-{os.getuid()}"
    with suppress(OSError):  # there is none yet
        readline.read_history_file(path)
    readline.set_history_length(LINES_KEPT)
    readline.set_completer_delims(" ")
    readline.set_completer(_completed)
    readline.parse_and_bind("tab: complete")
    try:
        yield _typed
    finally:
        _keep(readline, path)


def _typed() -> str:
    if sys.stdout.isatty():
        return input(PROMPT)
    print(PROMPT, end="", file=sys.stderr, flush=True)  # what is written to a file is answers alone
    return input()


def _readline() -> Any:
    try:
        import readline
    except ImportError:  # some builds of Python leave it out
        return None
    return readline


def _keep(readline: Any, path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        readline.write_history_file(path)
        path.chmod(0o600)
    except OSError as error:
        say(f"the history of this session is not kept: {path}: {error.strerror}")


def _completed(text: str, state: int) -> str | None:
    found = [f"{lines.MARK}{name} " for name in lines.COMMANDS if f"{lines.MARK}{name}".startswith(text)]
    return found[state] if text.startswith(lines.MARK) and state < len(found) else None
