"""A process that the system killed, told as that: it leaves no reason itself, and torchrun names a number alone.

Linux ends a process for want of memory with SIGKILL, and counts that for the container.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from steps.shared import contract

EVENTS = Path("/sys/fs/cgroup/memory.events")  # of this container
AT_ONCE = 5  # seconds; later ones are those that torchrun itself kills, where they do not end on SIGTERM
FIX = (
    "take an instance with more memory (RAM), fewer processes_per_node, or a lower dataloader_num_workers; checkpoints "
    "that are whole are continued"
)
OTHER = {
    signal.SIGBUS: "a disk or the shared memory (/dev/shm) may be full",
    signal.SIGSEGV: "a library crashed; the log has its last words",
    signal.SIGABRT: "a library gave up; the log has its last words",
}


def told(launch: Callable[[], object]) -> None:
    """Call torchrun; where it ends because a process was killed, leave that as the failure's reason.

    Raises:
        ChildFailedError: torchrun's own, with its summary.
    """
    before = kills()
    try:
        launch()
    except ChildFailedError as error:
        first = min(failure.timestamp for failure in error.failures.values())
        codes = {
            rank: failure.exitcode for rank, failure in error.failures.items() if failure.timestamp <= first + AT_ONCE
        }
        if reason := why(codes, kills() > before):
            print(f"error: {reason}", flush=True)
            contract.write_failure(reason)
        raise


def why(codes: dict[int, int], out_of_memory: bool) -> str | None:
    """
    Args:
        codes: of each process that failed, by its rank, the exit code; below 0 the signal that ended it.
        out_of_memory: whether the system says that it killed a process for want of memory.

    Returns:
        The reason in words; None where no process was killed, but by SIGTERM, which torchrun uses.
    """
    for number in (signal.SIGKILL, *OTHER):
        ranks = sorted(rank for rank, code in codes.items() if code == -number)
        if not ranks:
            continue
        which = f"process {ranks[0]} of the training (rank {ranks[0]}) was ended by {number.name}"
        if number != signal.SIGKILL:
            return f"{which}: {OTHER[signal.Signals(number)]}"
        sure = "the system killed it for want of memory" if out_of_memory else (
            "nothing in the training does that, and the system does it to the largest process when memory (RAM) is full"
        )  # fmt: skip
        return f"{which}: {sure}; {FIX}"
    return None


def kills() -> int:
    """How many processes of this container the system has killed for want of memory; 0 where that is not counted."""
    if not EVENTS.is_file():
        return 0
    counts = dict(line.split() for line in EVENTS.read_text().splitlines())
    return int(counts.get("oom_kill", 0))
