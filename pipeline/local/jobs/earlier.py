"""What an earlier attempt of a job may have left running, where its executor was killed: the next attempt waits for it.

Every process of a job holds a lock in the job's folder, by a file that it inherits and that the kernel closes with it;
one that closes it, as torchrun's do, is found by its environment (`left.py`), and ended where it does not end soon, as
a container would have ended it. Limits: holds for processes of this machine, not for a container.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.errors import UserError
from pipeline.local.jobs import left

LOCK = "processes.lock"
WAIT_SECONDS = 150.0  # what a process has that is asked to end, and some more
LEFT_SECONDS = 5.0  # that a process without the lock has, once those with it have ended
_LOOK_SECONDS = 0.1


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[int]:
    """The open file that a job's processes are to inherit, whose lock lasts until the last of them has ended."""
    number = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield number
    finally:
        os.close(number)


def wait(
    folder: Path,
    stopped: Callable[[], bool],
    seconds: float = WAIT_SECONDS,
    tell: Callable[[str], None] = lambda line: None,
) -> None:
    """Wait until no process of an earlier attempt runs, or `stopped` says that it is not wanted any more.

    Args:
        tell: hears at once, and once, that it waits and for what.

    Raises:
        UserError: they still run after `seconds`.
    """
    file = folder / LOCK
    if not file.exists():
        return
    until, kill_at = time.monotonic() + seconds, math.inf
    said = False
    with open(file, "w") as held:
        while not stopped():
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not left.left(folder):
                    return
                kill_at = min(kill_at, time.monotonic() + LEFT_SECONDS)
            if not said:
                tell(f"waiting for processes of the attempt before, whose executor was killed: {seconds:g} s at most")
                said = True
            if time.monotonic() > kill_at:
                left.kill(folder)
            elif time.monotonic() > until:
                raise UserError(
                    f"processes of the attempt before still run, after its executor was killed (they hold {file}); "
                    f"see them: fuser -v {shlex.quote(str(file))}; end them, then retry"
                )
            time.sleep(_LOOK_SECONDS)
