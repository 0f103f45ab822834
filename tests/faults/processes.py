"""Commands and executors as processes, and which processes belong to a local root."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from pipeline import cli
from pipeline.local import run as local_run
from tests.forks.server import ENVIRONMENT

PATIENCE = 600.0  # seconds until something that ought to end counts as hanging; a busy machine is slow


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


class Child:
    """A function in a forked child with a session of its own: without imports, with its own output and exit code.

    `python`: what it starts as Python, for its jobs: the real one, or the stand-in of `tests.forks`.
    """

    def __init__(self, work: Callable[[], int], out: Path, err: Path, python: str):
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(_be(work, out, err, python))

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        if self.returncode is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if found else None
        return self.returncode

    def wait(self, timeout: float = PATIENCE) -> int:
        """Wait for its end.

        Raises:
            Fault: it does not end.
        """
        until = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                self.kill()
                os.waitpid(self.pid, 0)
                raise Fault(f"process {self.pid} did not end within {timeout:g} s")
            time.sleep(0.02)
        return code

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


class Command(Child):
    """A command of `pipeline.py`."""

    def __init__(self, words: Iterable[str], place: Path, python: str = sys.executable):
        self.words = tuple(words)
        self._files = place.with_suffix(".out"), place.with_suffix(".err")
        super().__init__(lambda: cli.main(list(self.words)), *self._files, python)

    def done(self) -> Done:
        """Wait for its end."""
        try:
            code = self.wait()
        except Fault as error:
            raise Fault(f"`{' '.join(self.words)}`: {error}") from None
        return Done(self.words, code, *(file.read_text(errors="replace") for file in self._files))


def _be(work: Callable[[], int], out: Path, err: Path, python: str) -> int:
    """Do the work in this process, which is a forked child."""
    try:
        os.setsid()
        for number, file in ((1, out), (2, err)):
            os.dup2(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600), number)
        sys.executable = python
        code = work()
    except BaseException:
        traceback.print_exc()
        code = 70
    sys.stdout.flush()
    sys.stderr.flush()
    return code


Executor = subprocess.Popen[bytes] | Child


def start_executor(root: Path, execution: str, log: Path, stand_in: str | None) -> Executor:
    """What `start` leaves behind: a process that runs an execution, in a session of its own.

    `stand_in`: its jobs are forked from a process that has the libraries loaded; None: all of it is started anew.
    """
    words = [execution, "--root", str(root)]
    if stand_in:
        return Child(lambda: local_run.main(words), log, log, stand_in)
    command = [sys.executable, "-m", "pipeline.local.run", *words]
    with open(log, "ab") as file:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True)


def of_root(root: Path) -> list[psutil.Process]:
    """Every living process that names the root in its command line or its environment, or has a file in it open.

    Of a forked job /proc shows its server's environment: its own is in the file in memory that `tests.forks` leaves.
    """
    found, own = [], {os.getpid(), os.getppid()}
    needle = f"{root}/".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().replace(b"\0", b"/\0") + (folder / "environ").read_bytes()
            if int(folder.name) not in own and (needle in words or _has_open(folder, needle)):
                process = psutil.Process(int(folder.name))
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        except (OSError, psutil.NoSuchProcess):
            continue  # it has ended
    return found


def _has_open(process: Path, needle: bytes) -> bool:
    """Whether the path of an open file names it, or the environment that a forked command tells."""
    for link in (process / "fd").iterdir():
        try:
            target = os.readlink(link)
            told = link.read_bytes() if target.startswith(f"/memfd:{ENVIRONMENT}") else os.fsencode(target)
        except OSError:
            continue  # closed meanwhile
        if needle in told:
            return True
    return False


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
