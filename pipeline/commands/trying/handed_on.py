"""What a child process writes, by way of this one's stdout: so it is known when it writes nothing, and that is said."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread


@contextmanager
def handed_on() -> Iterator[int]:
    """A pipe for a child's output, whose words go to stdout as they come."""
    reading, writing = os.pipe()

    def hand_on() -> None:
        with open(reading, encoding="utf-8", errors="replace", newline="") as words:
            while piece := words.read(1):  # a program may wait within a line
                sys.stdout.write(piece)
                sys.stdout.flush()

    thread = Thread(target=hand_on)
    thread.start()
    try:
        yield writing
    finally:
        os.close(writing)
        thread.join()
