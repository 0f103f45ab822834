"""Whether a machine's memory (RAM) takes the unquantised base, which every process loads whole before it is sharded.

A process that the system kills for want of memory would cost the results of a whole training, so `auto` asks first.
Limits: Linux says what is available; elsewhere nothing is asked.
"""

from __future__ import annotations

import os
from pathlib import Path

from steps.train.arguments import TrainArguments
from steps.train.preflight.fixes import gib
from steps.train.preflight.judging import ALL_THE_SAME
from steps.train.preflight.passes import FP32
from steps.train.runtime import ranks

MEMINFO = Path("/proc/meminfo")
KIB = 1024


def lacking(arguments: TrainArguments, weights: int) -> str | None:
    """Why the base cannot be loaded on one of the machines; the same on every rank, None where it can. All ranks must
    call it together.

    Args:
        weights: how many the base has.
    """
    return next(filter(None, ranks.gather(_lacking(arguments, weights))), None)


def _lacking(arguments: TrainArguments, weights: int) -> str | None:
    free = available()
    each, processes = weights * (2 if arguments.bf16 else FP32), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if arguments.evaluate_served != "auto" or free is None or each * processes <= free:
        return None
    return (
        f"evaluate_served: auto: while it loads, the unquantised base takes {gib(each)} of the machine's memory in "
        f"each of {processes} processes, {gib(free)} are free; {ALL_THE_SAME}"
    )


def available() -> int | None:
    """Bytes that processes can still take without swapping, as the kernel estimates them (man 5 proc, MemAvailable)."""
    if not MEMINFO.is_file():
        return None
    lines = (line.split() for line in MEMINFO.read_text(encoding="ascii").splitlines())
    return next((int(words[1]) * KIB for words in lines if words and words[0] == "MemAvailable:"), None)
