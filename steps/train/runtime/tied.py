"""A process that is told to end when the one that starts it ends, whatever ended that: no rank outlives its launcher.

Limits: Linux; elsewhere nothing ties them. It goes by the thread that starts the process. Imports the standard library
only.
"""

from __future__ import annotations

import os
import signal
import sys

# A program of its own that turns into the command, because code between fork and exec may hang a process with threads.
# 1 is PR_SET_PDEATHSIG; the parent may have ended before that was said.
_TIE = (
    "import ctypes, os, sys; number, parent = map(int, sys.argv[1:3]); ctypes.CDLL(None).prctl(1, number); "
    "os.getppid() == parent or os.kill(os.getpid(), number); os.execvp(sys.argv[3], sys.argv[3:])"
)


def tied(number: signal.Signals) -> list[str]:
    """What to put before a command: it then gets this signal when this process ends."""
    if sys.platform != "linux":
        return []
    return [sys.executable, "-I", "-S", "-c", _TIE, str(int(number)), str(os.getpid())]
