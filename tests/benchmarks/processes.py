"""Seconds and peak memory of a command, for the benchmarks."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
POLL_SECONDS = 0.1


def measure(command: list[str], said: Path | None = None) -> tuple[float, int]:
    """Seconds, and the peak of the memory (proportional set size) of the process and its children, in bytes.

    Args:
        said: a file for what the process prints.
    """
    started = time.perf_counter()
    with open(said or os.devnull, "wb") as output:
        process = psutil.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.PIPE)
        peak = 0
        while process.poll() is None:
            peak = max(peak, memory(process))
            time.sleep(POLL_SECONDS)
    seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{' '.join(command[:4])}: {process.stderr.read().decode()[-2000:]}")
    return seconds, peak


def memory(process: psutil.Process) -> int:
    """Proportional set size of a process and its children, in bytes."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_full_info().pss
        except psutil.Error:  # it has just ended
            continue
    return total
