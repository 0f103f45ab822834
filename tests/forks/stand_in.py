"""Stands for Python in what a test or a forked command starts: a fork server runs what it has the libraries of.

Command:  python -IS stand_in.py SOCKET STAND_IN WORD…   (STAND_IN is the script that runs this one)
Limits:   imports little, because it starts as often as Python would. Signals reach what the server runs; whoever kills
          this process kills that too.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Iterable

OF_IMAGES = ("HF_HOME", "HF_HUB_DISABLE_TELEMETRY")  # every job has them; the server has the second, and none downloads


def read_at_import(variables: Iterable[str]) -> bool:
    """Whether the hub's library reads one of these variables when it is imported, which a forked child does no more."""
    return any(name.startswith("HF_") and not name.startswith("HF_TOKEN") for name in variables)


def forkable(words: list[str]) -> bool:
    """Whether these are words of pipeline.py, a step or torchrun, and nothing is about the interpreter itself."""
    if read_at_import(name for name in os.environ if name not in OF_IMAGES):
        return False
    if words[:1] == ["-m"]:
        return words[1].startswith("steps.") or words[1] == "torch.distributed.run"
    return words[:1] != [] and words[0].endswith(("pipeline.py", "steps/train/train.py"))


def main(path: str, python: str, words: list[str]) -> None:
    rest = words[1:] if words[:1] == ["-u"] else words
    if not forkable(rest):
        os.execv(sys.executable, [sys.executable, *words])
    environment = dict(os.environ)
    if rest is not words:
        environment["PYTHONUNBUFFERED"] = "1"
    request = {"words": rest, "environment": environment, "folder": os.getcwd(), "ranks": 0, "python": python}
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    socket.send_fds(connection, [json.dumps(request).encode()], [1, 2])
    lines = connection.makefile("rb")
    keeper = int(lines.readline())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: os.kill(keeper, signal.SIGTERM))
    code = int(lines.readline() or -signal.SIGKILL)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
