"""What a child process writes, by way of this one's stdout: so it is known when it writes nothing, and that is said.

Its notes, which are for stderr, come by the same pipe (`--notes-among-words`): what comes by two has no order.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import TextIO

from steps.answer.limits import NOTE


@contextmanager
def handed_on() -> Iterator[int]:
    """A pipe for a child's output, whose words go to stdout as they come, and notes among them to stderr.

    Raises:
        BrokenPipeError: the reader of stdout has gone, as with `| head`; the child's end is awaited all the same.
    """
    gone: list[BrokenPipeError] = []
    reading, writing = os.pipe()

    def hand_on() -> None:
        with open(reading, encoding="utf-8", errors="replace", newline="") as words:
            try:
                _copy(words)
            except BrokenPipeError as error:
                gone.append(error)
                words.read()

    thread = Thread(target=hand_on)
    thread.start()
    try:
        yield writing
    finally:
        os.close(writing)
        thread.join()
    if gone:
        raise gone[0]


def _copy(words: TextIO) -> None:
    in_note = False
    while piece := words.read(1):  # a program may wait within a line
        if piece == NOTE:
            in_note = True
            continue
        stream = sys.stderr if in_note else sys.stdout
        stream.write(piece)
        stream.flush()
        in_note = in_note and piece != "\n"
