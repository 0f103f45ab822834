"""Seconds, CPU seconds and peak memory of a command, for the benchmarks."""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from tests.paths import ROOT

POLL_SECONDS = 0.1


def children_cpu() -> float:
    """User and system seconds of the processes that this one, or a child, has waited for so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(command: list[str]) -> tuple[float, int]:
    """Seconds, and the peak of the memory (proportional set size) of the process and its children, in bytes."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as errors:  # a pipe that nobody reads is full after some progress bars
        process = psutil.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=errors)
        peaks = [0]
        watch(process, peaks)
        seconds = time.perf_counter() - started
        if process.returncode:
            errors.seek(0)
            raise SystemExit(f"{' '.join(command[:4])}: {errors.read().decode()[-2000:]}")
    return seconds, peaks[0]


@dataclass(frozen=True)
class Said:
    """A line that a process printed, what it had used by then, and its memory's peak so far (as `measure` has it)."""

    line: str
    cpu_seconds: float
    peak: int


def follow(command: list[str]) -> Iterator[Said]:
    """Each line of a command's output, as it comes.

    Raises:
        SystemExit: the command failed.
    """
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = psutil.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONUNBUFFERED": "1"}, **pipes)
    peaks = [0]
    watching = threading.Thread(target=watch, args=(process, peaks))
    watching.start()
    last: list[str] = []
    for line in process.stdout:
        last = [*last[-40:], line]
        try:
            used = process.cpu_times()
        except psutil.Error:  # it has just ended
            continue
        yield Said(line, used.user + used.system, peaks[0])
    process.wait()
    watching.join()
    if process.returncode:
        raise SystemExit("".join(last))


def watch(process: psutil.Popen, peaks: list[int]) -> None:
    """Keep the peak of a process's memory in `peaks[0]`, until it ends."""
    while process.poll() is None:
        peaks[0] = max(peaks[0], memory(process))
        time.sleep(POLL_SECONDS)


def memory(process: psutil.Process) -> int:
    """Proportional set size of a process and its children, in bytes."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_full_info().pss
        except psutil.Error:  # it has just ended
            continue
    return total
