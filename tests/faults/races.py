"""Several at once: two executions of the same training, two retries of one execution, two stops."""

from __future__ import annotations

import re
import time

from tests.faults.processes import Fault
from tests.faults.room import Room
from tests.faults.world import seed


def race(room: Room, number: int) -> None:
    """One of the three."""
    (executions, retries, stops)[number % 3](room)


def executions(room: Room) -> None:
    """Both train the same, on one root, with one checkpoint folder."""
    room.furnish()
    room.forget("Train")
    first, second = room.create(), room.create()
    running = [room.launch(first, real=True)]
    time.sleep(room.rng.random() * 4)
    running.append(room.launch(second, real=True))
    for executor in running:
        room.ended(executor)
    room.nobody_left()
    for execution in (first, second):
        if room.tells_the_truth(execution)["status"] != "Succeeded":
            raise Fault(f"one of two executions of the same training failed: {room.notes[-1]}")
        room.is_whole(execution)


def retries(room: Room) -> None:
    """One runs it; the other says that it is running, or finds it done."""
    room.furnish()
    room.forget("Merge")
    execution = room.create()
    executor = room.launch(execution)
    room.reached(execution, "Merge", executor)
    executor.kill()
    room.ended(executor)
    room.nobody_left()
    both = [command.done() for command in [room.start_command("retry", execution) for _ in range(2)]]
    for done in both:
        room.no_traceback(done)
    if not any(done.code == 0 for done in both):
        raise Fault(f"neither of two retries succeeded: {both[0].err[-200:]} / {both[1].err[-200:]}")
    for done in both:
        if done.code and "already running" not in done.err:
            raise Fault(f"the second retry says: {done.err[-200:]}")
    room.is_whole(execution)


def stops(room: Room) -> None:
    """A second stop is no second Ctrl-C: the training ends in order, and goes on where it stopped."""
    room.furnish()
    room.forget("Train")
    ranks = room.rng.choice((1, 2))
    execution = room.create(ranks)
    executor = room.launch(execution, real=True)
    if room.reached(execution, "Train", executor):
        time.sleep(room.rng.uniform(0.3, 0.9) * room.world.seconds("Train", ranks))
        for done in [command.done() for command in [room.start_command("stop", execution) for _ in range(2)]]:
            room.no_traceback(done)
    room.ended(executor)
    room.nobody_left()
    said = room.tells_the_truth(execution)
    if said["status"] == "Failed":
        raise Fault(f"stopped, and status says: {said['failure_reason']}")
    room.hit = said["status"] == "Stopped"
    if room.hit:
        _stopped_in_order(room, execution, ranks)
    room.goes_on(execution, ranks)


def _stopped_in_order(room: Room, execution: str, ranks: int) -> None:
    """A training that had begun says which checkpoint it wrote when it was stopped, and that one is stored."""
    log = (room.root / "executions" / execution / "jobs" / "Train" / "log.txt").read_text(errors="replace")
    told = re.search(r"stopped by SIGTERM; (checkpoint-\d+) is whole", log)
    if told is None and "[metrics]" in log and "; adapter in " not in log:  # which is said when all steps are done
        raise Fault("the training had begun when it was stopped, and it does not say that a checkpoint is whole")
    place = f"s3/*/*/faults/checkpoints/**/*_{seed(ranks)}"
    if told and not list(room.root.glob(f"{place}/{told[1]}/complete.json")):
        raise Fault(f"{told[1]} is whole, says the stopped training, and it is not stored")
