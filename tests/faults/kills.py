"""Kills: each step, by each signal, at a random moment: executor, step, its group, one rank, or all at once."""

from __future__ import annotations

import os
import signal
import time

import psutil

from tests.faults import processes
from tests.faults.processes import Executor
from tests.faults.room import Room
from tests.faults.world import STEPS

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
WHOM = ("executor", "step", "group", "all")


def kill(room: Room, number: int) -> None:
    """One execution, killed in one step, once; then whole by `retry`."""
    step = STEPS[number % len(STEPS)]
    sent = SIGNALS[number // len(STEPS) % len(SIGNALS)]
    ranks = room.rng.choice((1, 2)) if step == "Train" else 1
    whom = "executor" if step == "RegisterMerged" else room.rng.choice(WHOM + ("rank",) * (step == "Train"))
    room.furnish()
    if step != "Champion":  # which is never cached
        room.forget(step)
    execution = room.create(ranks)
    executor = room.launch(execution, real=True)
    room.hit = False
    share = room.rng.random()
    if room.reached(execution, step, executor):
        time.sleep(share * max(0.03, room.world.seconds(step, ranks)))
        hit = strike(executor, whom, sent, room)
        room.notes.append(f"{step}, {ranks} ranks, {sent.name} to {hit} after {share:.2f}")
        room.hit = not hit.endswith("had ended")
    room.ended(executor)
    room.nobody_left()
    if room.tells_the_truth(execution)["status"] == "Succeeded":
        room.hit = False  # the signal came too late
        room.is_whole(execution, ranks)
    else:
        room.goes_on(execution, ranks)


def strike(executor: Executor, whom: str, sent: signal.Signals, room: Room) -> str:
    """Send the signal; whom it reached, which is the executor where there is no such process."""
    try:
        family = psutil.Process(executor.pid).children(recursive=True)
        leaders = psutil.Process(executor.pid).children()
        if whom == "rank" and (found := processes.ranks(family)):
            room.rng.choice(found).send_signal(sent)
        elif whom == "all":
            for process in (psutil.Process(executor.pid), *family):
                process.send_signal(sent)
        elif whom == "step" and leaders:
            leaders[0].send_signal(sent)
        elif whom == "group" and leaders:
            os.killpg(os.getpgid(leaders[0].pid), sent)
        else:
            os.kill(executor.pid, sent)
            return "executor"
    except (psutil.NoSuchProcess, ProcessLookupError):
        return f"{whom}, which had ended"
    return whom
