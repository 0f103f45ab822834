"""Start commands in children of a fork server, and follow them."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import psutil
from filelock import FileLock

from tests.forks.server import USERS
from tests.paths import ROOT

STAND_IN = ROOT / "tests" / "forks" / "stand_in.py"


class Forked:
    """A command that runs in a forked child, or in several ranks; what it prints is in two files."""

    def __init__(self, words: Sequence[str], connection: socket.socket, out: IO[bytes], err: IO[bytes]):
        self.words, self._connection, self._out, self._err = words, connection, out, err
        self._lines = connection.makefile("rb")
        self.keeper: int = json.loads(self._lines.readline())  # the process that waits for the ranks
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, None while the command runs; minus the signal's number for one that was killed."""
        if self.returncode is None and select.select([self._connection], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end.

        Raises:
            TimeoutError: it did not end within so many seconds.
        """
        if self.returncode is None:
            self._connection.settimeout(timeout)
            line = self._lines.readline()
            self.returncode = json.loads(line) if line else -signal.SIGKILL
            self._lines.close()
            self._connection.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Signal the process that keeps the ranks: it passes SIGTERM on, as torchrun does."""
        os.kill(self.keeper, number)

    def kill(self) -> None:
        """End all of it at once, as a machine does that is taken away, the children of its own included."""
        for process in _family(self.keeper):
            process.kill()
        self.wait()

    def stdout(self) -> str:
        """What it printed so far."""
        return _text(self._out)

    def stderr(self) -> str:
        """What it printed to stderr so far; nothing where stderr goes to stdout."""
        return "" if self._err is self._out else _text(self._err)

    def completed(self) -> subprocess.CompletedProcess[str]:
        """Wait, as `subprocess.run` does."""
        return subprocess.CompletedProcess(self.words, self.wait(), self.stdout(), self.stderr())


class Launched:
    """The same for a real process; stderr goes where stdout goes."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]):
        self._out = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the command)
        self._process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=self._out, stderr=self._out)
        self.poll, self.wait, self.pid = self._process.poll, self._process.wait, self._process.pid

    def kill(self) -> None:
        """End it and its children at once."""
        for process in _family(self._process.pid):
            process.kill()
        self.wait()

    def stdout(self) -> str:
        """What it printed so far, to stderr too."""
        return _text(self._out)


class Forks:
    """A fork server: a process that imports modules once and then forks a child for each command.

    It is one for all workers of a test run: `place` is a file that tells them where it listens. It ends with the last
    of them.
    """

    def __init__(self, modules: Sequence[str], environment: Mapping[str, str], place: Path):
        self._started: subprocess.Popen[str] | None = None
        with FileLock(place.with_suffix(".lock")):
            user = _connect(place) or self._begin(modules, environment, place)
            self._user = user
        self._path = place.read_text()
        self.python = str(Path(self._path).with_name("python"))

    def _begin(self, modules: Sequence[str], environment: Mapping[str, str], place: Path) -> socket.socket:
        folder = Path(tempfile.mkdtemp(prefix="forks-"))  # a socket's path must be short
        path = folder / "socket"
        self._started = subprocess.Popen(
            [sys.executable, "-m", "tests.forks.server", path, *modules],
            cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._started.stdout and self._started.stdout.readline() == "ready\n", "the fork server did not start"
        stand_in = folder / "python"  # a `python` for what a command starts: the server runs the steps among it
        stand_in.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {STAND_IN} {path} "$0" "$@"\n')
        stand_in.chmod(0o755)
        place.write_text(str(path))
        user = _connect(place)
        assert user, "the fork server ended at once"
        return user

    def start(
        self,
        *words: str | Path,
        environment: Mapping[str, str],
        ranks: int = 0,
        one_file: bool = False,
        python: str | None = None,
    ) -> Forked:
        """Start `python WORDS` in the checkout; with `ranks` as torchrun does, that many processes on this machine.

        `one_file`: stderr goes where stdout goes. `python`: what the command starts as Python; the real one by default.
        """
        texts = list(map(str, words))
        out = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the command)
        err = out if one_file else tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the command)
        if ranks:
            environment = {**environment, **_world(ranks)}
        request = {
            "words": texts, "environment": dict(environment), "folder": str(ROOT), "ranks": ranks, "python": python
        }  # fmt: skip
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self._path)
        socket.send_fds(connection, [json.dumps(request).encode()], [out.fileno(), err.fileno()])
        return Forked(texts, connection, out, err)

    def leave(self) -> None:
        """Use it no more."""
        self._user.close()

    def wait(self) -> None:
        """Whoever started the server waits for its end: for the others who use it. First leave all servers."""
        if self._started and self._started.stdout:
            self._started.wait()
            self._started.stdout.close()
            shutil.rmtree(Path(self._path).parent)


def _connect(place: Path) -> socket.socket | None:
    """A connection that keeps the server there, None where there is no server."""
    user = socket.socket(socket.AF_UNIX)
    try:
        user.connect(f"{place.read_text()}{USERS}")
    except (FileNotFoundError, ConnectionRefusedError):
        user.close()
        return None
    return user


def _world(ranks: int) -> dict[str, Any]:
    """What torchrun tells each process, but its rank."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sizes = {"WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks)}
    return {**sizes, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


def _family(process: int) -> list[psutil.Process]:
    first = psutil.Process(process)
    return [first, *first.children(recursive=True)]


def _text(file: IO[bytes]) -> str:
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), size, 0).decode(errors="replace").replace("\r\n", "\n")
