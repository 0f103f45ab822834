"""Which processes belong to a local root, and a command as a forked child that has the libraries loaded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from pipeline import cli

PATIENCE = 240.0  # seconds until something that ought to end counts as hanging


class Fault(AssertionError):
    """What must not happen; `str(error)` says what did."""


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """All that it printed."""
        return self.out + self.err


class Command:
    """A command of `pipeline.py` in a forked child: without its imports, with its own output and exit code."""

    def __init__(self, words: Iterable[str], place: Path):
        self.words = tuple(words)
        self._out, self._err = place.with_suffix(".out"), place.with_suffix(".err")
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(_be(self.words, self._out, self._err))

    def done(self, patience: float = PATIENCE) -> Done:
        """Wait for its end.

        Raises:
            Fault: it does not end.
        """
        until = time.monotonic() + patience
        while True:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                code = os.waitstatus_to_exitcode(status)
                return Done(self.words, code, *(file.read_text(errors="replace") for file in (self._out, self._err)))
            if time.monotonic() > until:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise Fault(f"`{' '.join(self.words)}` did not end within {patience:g} s")
            time.sleep(0.02)


def _be(words: tuple[str, ...], out: Path, err: Path) -> int:
    """Run the command in this process, which is a forked child."""
    try:
        for number, file in ((1, out), (2, err)):
            os.dup2(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), number)
        code = cli.main(list(words))
    except BaseException:
        traceback.print_exc()
        code = 70
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def start_executor(root: Path, execution: str, log: Path) -> subprocess.Popen[bytes]:
    """The process that `start` leaves behind: runs an execution, in a session of its own."""
    command = [sys.executable, "-m", "pipeline.local.run", execution, "--root", str(root)]
    with open(log, "ab") as file:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True)


def of_root(root: Path) -> list[psutil.Process]:
    """Every living process that names the root in its command line or its environment."""
    found, own = [], {os.getpid(), os.getppid()}
    needle = f"{root}/".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().replace(b"\0", b"/\0") + (folder / "environ").read_bytes()
            if needle in words and int(folder.name) not in own:
                process = psutil.Process(int(folder.name))
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        except (OSError, psutil.NoSuchProcess):
            continue  # it has ended
    return found


def told(processes: Iterable[psutil.Process]) -> str:
    """The processes in words."""
    lines = []
    for process in processes:
        try:
            lines.append(f"{process.pid} {' '.join(process.cmdline())[:120]}")
        except psutil.NoSuchProcess:
            continue
    return "; ".join(lines)


def ranks(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that torchrun started as ranks."""
    found = []
    for process in processes:
        try:
            if "RANK" in process.environ():
                found.append(process)
        except psutil.Error:
            continue
    return found


def end(processes: Iterable[psutil.Process]) -> None:
    """Kill what a failed round left."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
