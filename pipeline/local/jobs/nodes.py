"""Runs a job's processes, one a node, and makes sure that none of them outlives the job.

Each node leads a session of its own, so that Ctrl-C in the terminal reaches this process alone, which then ends the
nodes in order: TERM to their whole process groups, time to write a checkpoint, then KILL. As in a container, what a
node started dies with it, whatever session it made itself. Limits: the latter holds on Linux (`left.py`).
"""

from __future__ import annotations

import contextlib
import fcntl
import math
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
from pipeline.local.jobs import earlier, left
from steps.train.runtime.tied import tied

GRACE_SECONDS = 120.0  # between TERM and KILL, as SageMaker gives a job that is stopped or has run too long
_POLL_SECONDS = 0.05
_LINE_LIMIT = 64 * 1024
_PIPE_BYTES = 2**20  # the largest that Linux allows everybody

Ending = Literal["finished", "failed", "timeout", "stopped"]


class StopRequest:
    """Whether someone asked to stop: once ends jobs with time to save, twice at once. Only Ctrl-C insists."""

    def __init__(self) -> None:
        self.count = 0

    def ask(self) -> None:
        """Ask, or insist."""
        self.count += 1

    def ask_once(self) -> None:
        """Ask; whoever has asked before does not insist by it."""
        self.count = max(1, self.count)


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
    signal.signal(signal.SIGINT, lambda _number, _frame: stop.ask())
    for number in previous.keys() - {signal.SIGINT}:  # `stop` sends TERM, and a second one cuts no saving short
        signal.signal(number, lambda _number, _frame: stop.ask_once())
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
    running: list[_Process] = []
    readers: list[threading.Thread] = []
    with open(log, "ab", buffering=0) as file, earlier.lock(log.parent) as lock:
        try:
            running += (_Process(*_spawn(node, cwd, lock)) for node in nodes)
            for node, process in zip(nodes, running, strict=True):
                prefix = f"[{node.host}] ".encode() if len(nodes) > 1 else b""
                readers.append(threading.Thread(target=_copy, args=(process.output, file, prefix, lines), daemon=True))
                readers[-1].start()
            end = _End(running, stop, on_stop, _in_seconds(limit_seconds), grace_seconds)
            while not end.reached():
                _drain(lines, on_line)
                time.sleep(_POLL_SECONDS)
        finally:
            _kill(running)
            left.kill(log.parent)
            for node in nodes[: len(running)]:
                _remove(node)
            for reader in readers:
                # A process that escaped its session may hold the pipe open for good; its words are not waited for.
                reader.join(timeout=2)
        _drain(lines, on_line)
    return end.outcome()


class _Process:
    """A node's process and its group, which get signals only until the exit code is known.

    From then on the number is free, and may be that of someone else's group.
    """

    def __init__(self, process: subprocess.Popen[bytes], output: IO[bytes]) -> None:
        self._process = process
        self.output = output

    def poll(self) -> int | None:
        """The exit code once there is one. What the process left behind in its group is killed when it first shows."""
        if self._process.returncode is None and self._has_ended():
            self._signal_group(signal.SIGKILL)
            self._process.poll()
        return self._process.returncode

    def send(self, number: int) -> None:
        """Send a signal to the whole group, where the process still runs."""
        if self.poll() is None:
            self._signal_group(number)

    def wait(self) -> int:
        """The exit code, once the process has ended."""
        while (code := self.poll()) is None:
            time.sleep(_POLL_SECONDS)
        return code

    def _has_ended(self) -> bool:
        """Whether there is an exit code; it is left there, so that the number stays the process's own."""
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _signal_group(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


@dataclass
class _End:
    """Sees to it that a job's processes end, and knows why: each look asks them, and does what is due by now."""

    processes: list[_Process]
    stop: StopRequest
    on_stop: Callable[[], None]
    limit: float  # the monotonic time at which the job has run too long
    grace_seconds: float
    ending: Ending = "finished"
    first_failed: int | None = None
    kill_at: float = math.inf

    def reached(self) -> bool:
        """Whether all have ended by now; those that have to end get their signals."""
        codes = [process.poll() for process in self.processes]
        if self.ending == "finished":
            self.ending = self._reason(codes)
            if self.ending != "finished":
                self._ask_to_end(codes)
        if None not in codes:
            return True
        if time.monotonic() > self.kill_at or self.stop.count > 1:
            self._send(signal.SIGKILL)
        return False

    def outcome(self) -> Outcome:
        """How the processes ended."""
        return Outcome(self.ending, [process.wait() for process in self.processes], self.first_failed)

    def _reason(self, codes: Sequence[int | None]) -> Ending:
        """Why those that still run have to end; a stop counts only while there is something to stop."""
        if self.stop.count and None in codes:
            return "stopped"
        if any(codes):
            return "failed"
        return "timeout" if None in codes and time.monotonic() > self.limit else "finished"

    def _ask_to_end(self, codes: Sequence[int | None]) -> None:
        if self.ending == "stopped":
            self.on_stop()
        elif self.ending == "failed":
            self.first_failed = next(index for index, code in enumerate(codes) if code)
        self.kill_at = time.monotonic() + self.grace_seconds
        self._send(signal.SIGTERM)

    def _send(self, number: int) -> None:
        for process in self.processes:
            process.send(number)


def _in_seconds(seconds: float | None) -> float:
    """The monotonic time in so many seconds; None: never."""
    return math.inf if seconds is None else time.monotonic() + seconds


def _kill(running: list[_Process]) -> None:
    for process in running:
        process.send(signal.SIGKILL)
    for process in running:
        process.wait()


def _spawn(node: Node, cwd: Path, lock: int) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    """The process of a node, and what it prints."""
    named = node.command[0]
    program = named if os.sep in named else shutil.which(named, path=node.environment.get("PATH"))
    if program is None or not os.path.exists(program):
        raise UserError(f"cannot start {named!r}: there is no such program")
    # The node holds the reading end too: where this process is killed, it may go on to print while it saves its work.
    reading, writing = os.pipe()
    if sys.platform == "linux":
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    try:
        process = subprocess.Popen(
            [*tied(signal.SIGTERM), program, *node.command[1:]],  # else a training would go on that nobody sees
            cwd=cwd,
            env=dict(node.environment),
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(lock, reading),
        )
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    return process, os.fdopen(reading, "rb")


def _remove(node: Node) -> None:
    if node.end:
        subprocess.run(node.end, env=dict(node.environment), capture_output=True, check=False)


def _copy(stream: IO[bytes], file: IO[bytes], prefix: bytes, lines: queue.SimpleQueue[str]) -> None:
    with stream:
        for raw in iter(lambda: stream.readline(_LINE_LIMIT), b""):
            # The log was closed, as the job is over; or its disk is full, and the job must not wait for its reader.
            with contextlib.suppress(ValueError, OSError):
                file.write(prefix + raw)
            lines.put(raw.decode("utf-8", errors="replace").rstrip("\r\n"))


def _drain(lines: queue.SimpleQueue[str], on_line: Callable[[str], None]) -> None:
    with contextlib.suppress(queue.Empty):
        while True:
            on_line(lines.get_nowait())
