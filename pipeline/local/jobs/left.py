"""The processes of a job that still run, whatever session, group or parent they have by now: by their environment.

Limits: Linux, and processes of this machine and user; one that was started with an environment of its own is not found.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from steps.shared.contract import ROOT_VARIABLE

PROC = Path("/proc")


def left(folder: Path) -> list[int]:
    """The ids of the processes whose /opt/ml lies in this job's folder."""
    start = f"{ROOT_VARIABLE}={folder.resolve()}/".encode()
    found = []
    for place in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            if any(entry.startswith(start) for entry in (place / "environ").read_bytes().split(b"\0")):
                found.append(int(place.name))
    return sorted(found)


def kill(folder: Path) -> None:
    """End what a job's nodes left running."""
    for number in left(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
