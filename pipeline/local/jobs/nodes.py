"""Runs a job's processes, one a node, and makes sure that none of them outlives the job.

Each node leads a session of its own, so that Ctrl-C in the terminal reaches this process alone, which then ends the
nodes in order: TERM to their whole process groups, time to write a checkpoint, then KILL. As in a container, what a
node started dies with it. Limits: a process that makes itself a session of its own escapes.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from pipeline.errors import UserError

GRACE_SECONDS = 30.0  # between TERM and KILL; AWS gives 120, and nobody waits that long at a terminal
_POLL_SECONDS = 0.05
_LINE_LIMIT = 64 * 1024

# Has the kernel end a node when this process is killed: else a training would go on that nobody sees. A program of its
# own that turns into the node, because code between fork and exec may hang a process that has threads.
_TIE = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 15); os.execv(sys.argv[1], sys.argv[1:])"  # PDEATHSIG, TERM
_TIED = [sys.executable, "-I", "-S", "-c", _TIE] if sys.platform == "linux" else []

Ending = Literal["finished", "failed", "timeout", "stopped"]


class StopRequest:
    """Whether someone asked to stop: once ends jobs with time to save, twice at once."""

    def __init__(self) -> None:
        self.count = 0

    def ask(self) -> None:
        """Ask, or insist."""
        self.count += 1


@dataclass(frozen=True)
class Node:
    """One process to run, and a command that removes what it may leave where no signal reaches."""

    host: str
    command: list[str]
    environment: Mapping[str, str]
    end: Sequence[str] = ()


@dataclass(frozen=True)
class Outcome:
    """How the nodes ended: why, and each one's exit code (negative: the signal that ended it)."""

    ending: Ending
    codes: list[int]
    first_failed: int | None = None


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn Ctrl-C, TERM and a closed terminal into a request while the context lasts.

    Outside the main thread signals stay as they are; so does a closed terminal under `nohup`.
    """
    stop = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    if previous[signal.SIGHUP] == signal.SIG_IGN:
        del previous[signal.SIGHUP]
    for number in previous:
        signal.signal(number, lambda _number, _frame: stop.ask())
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def run_nodes(
    nodes: list[Node],
    *,
    cwd: Path,
    log: Path,
    stop: StopRequest,
    on_line: Callable[[str], None],
    on_stop: Callable[[], None],
    limit_seconds: float | None = None,
    grace_seconds: float = GRACE_SECONDS,
) -> Outcome:
    """Run the nodes at once until all have ended; one that fails ends the others.

    What they print goes to the end of `log`, and line by line to `on_line`, in the calling thread.
    """
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    running: list[subprocess.Popen[bytes]] = []
    readers: list[threading.Thread] = []
    with open(log, "ab", buffering=0) as file:
        try:
            running += (_spawn(node, cwd) for node in nodes)
            for node, process in zip(nodes, running, strict=True):
                prefix = f"[{node.host}] ".encode() if len(nodes) > 1 else b""
                readers.append(threading.Thread(target=_copy, args=(process.stdout, file, prefix, lines), daemon=True))
                readers[-1].start()
            outcome = _supervise(running, lines, stop, on_line, on_stop, limit_seconds, grace_seconds)
        finally:
            for process in running:
                _signal(process, signal.SIGKILL)
            for process in running:
                process.wait()
            for node in nodes[: len(running)]:
                _remove(node)
            for reader in readers:
                # A process that escaped its session may hold the pipe open for good; its words are not waited for.
                reader.join(timeout=2)
        _drain(lines, on_line)
    return outcome


def _supervise(
    running: list[subprocess.Popen[bytes]],
    lines: queue.SimpleQueue[str],
    stop: StopRequest,
    on_line: Callable[[str], None],
    on_stop: Callable[[], None],
    limit_seconds: float | None,
    grace_seconds: float,
) -> Outcome:
    started = time.monotonic()
    ending: Ending = "finished"
    first_failed: int | None = None
    kill_at = float("inf")
    while True:
        _drain(lines, on_line)
        codes = [process.poll() for process in running]
        failed = next((index for index, code in enumerate(codes) if code), None)
        for process, code in zip(running, codes, strict=True):
            if code is not None:
                _signal(process, signal.SIGKILL)  # what it left behind
        if ending == "finished":
            if stop.count and None in codes:
                ending = "stopped"
                on_stop()
            elif failed is not None:
                ending, first_failed = "failed", failed
            elif None in codes and limit_seconds is not None and time.monotonic() - started > limit_seconds:
                ending = "timeout"
            if ending != "finished":
                kill_at = time.monotonic() + grace_seconds
                for process, code in zip(running, codes, strict=True):
                    if code is None:
                        _signal(process, signal.SIGTERM)
        if None not in codes:
            return Outcome(ending, [process.returncode for process in running], first_failed)
        if time.monotonic() > kill_at or stop.count > 1:
            for process in running:
                _signal(process, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)


def _spawn(node: Node, cwd: Path) -> subprocess.Popen[bytes]:
    program = node.command[0]
    if os.sep not in program:
        program = shutil.which(program, path=node.environment.get("PATH"))
    if program is None or not os.path.exists(program):
        raise UserError(f"cannot start {node.command[0]!r}: there is no such program")
    return subprocess.Popen(
        [*_TIED, program, *node.command[1:]],
        cwd=cwd,
        env=dict(node.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _remove(node: Node) -> None:
    if node.end:
        subprocess.run(node.end, env=dict(node.environment), capture_output=True, check=False)


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _copy(stream: IO[bytes], file: IO[bytes], prefix: bytes, lines: queue.SimpleQueue[str]) -> None:
    with stream:
        for raw in iter(lambda: stream.readline(_LINE_LIMIT), b""):
            with contextlib.suppress(ValueError):  # the log was closed: the job is over
                file.write(prefix + raw)
            lines.put(raw.decode("utf-8", errors="replace").rstrip("\r\n"))


def _drain(lines: queue.SimpleQueue[str], on_line: Callable[[str], None]) -> None:
    with contextlib.suppress(queue.Empty):
        while True:
            on_line(lines.get_nowait())
