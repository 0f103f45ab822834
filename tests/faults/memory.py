"""A rank that the kernel kills for want of memory: told as that."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import psutil

from tests.faults import processes
from tests.faults.processes import Fault
from tests.faults.room import Room

GROUPS = Path("/sys/fs/cgroup/memory")  # of cgroups 1; elsewhere SIGKILL from outside stands for the kernel's


def killed(room: Room, number: int) -> None:
    """Of one rank or two, one is killed while the training runs."""
    ranks = (2, 1, 2)[number % 3]
    room.furnish()
    room.forget("Train")
    execution = room.create(ranks)
    executor = room.launch(execution, real=True)
    room.hit = False
    if room.reached(execution, "Train", executor):
        time.sleep(room.rng.uniform(0.4, 0.8) * room.world.seconds("Train", ranks))
        with contextlib.suppress(psutil.NoSuchProcess):
            found = processes.ranks(psutil.Process(executor.pid).children(recursive=True))
            if found:
                room.hit = True
                room.notes.append(f"one of {len(found)} ranks, {starve(room.rng.choice(found), room.folder.name)}")
    room.ended(executor)
    room.nobody_left()
    said = room.tells_the_truth(execution)
    if said["status"] == "Succeeded":
        room.hit = False
        return room.is_whole(execution, ranks)
    if "memory" not in said["failure_reason"]:
        raise Fault(f"killed for want of memory, and status says: {said['failure_reason'][:300]}")
    room.goes_on(execution, ranks)


def starve(rank: psutil.Process, name: str) -> str:
    """Give a process no more memory than it has, or kill it as the kernel would; which it was."""
    group = GROUPS / f"faults-{name}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text("1048576")
        (group / "cgroup.procs").write_text(str(rank.pid))
    except OSError:
        rank.kill()
        return "SIGKILL from outside"
    with contextlib.suppress(psutil.TimeoutExpired):
        rank.wait(20)
        return "killed by the kernel"
    rank.kill()
    return "SIGKILL from outside"
