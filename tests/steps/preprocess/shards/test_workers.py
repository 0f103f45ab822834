"""Worker processes: order, failures, and that none outlives the step."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from steps.preprocess.rows.reasons import InvalidRow, Reason
from steps.preprocess.shards.workers import Workers
from steps.shared.contract import StepError
from tests.paths import ROOT

PARENT = """
import sys, time
from steps.preprocess.shards.workers import Workers
def sleep(_, seconds):
    time.sleep(seconds)
if __name__ == "__main__":
    with Workers(2, list) as workers:
        for _ in workers.map(sleep, [0, 0, 600, 600]):
            print("working", flush=True)
"""


@pytest.mark.parametrize("count", [1, 3])
def test_results_come_in_the_order_of_the_items(count):
    with Workers(count, list) as workers:
        assert list(workers.map(absolute, iter(range(-20, 0)))) == list(range(20, 0, -1))


def absolute(_: list, number: int) -> int:
    return abs(number)


@pytest.mark.parametrize("count", [1, 3])
def test_each_process_keeps_an_object_of_its_own_from_list_to_list(count):
    with Workers(count, list) as workers:
        first = list(workers.map(collect, range(6)))
        second = list(workers.map(collect, range(10, 16)))
    seen = {number % count: [] for number in range(count)}
    for number, after in zip([*range(6), *range(10, 16)], [*first, *second], strict=True):
        own = seen[number % 10 % count]
        own.append(number)
        assert after == own


def collect(own: list[int], number: int) -> list[int]:
    own.append(number)
    return list(own)


def test_a_failure_in_a_worker_is_the_steps_own():
    with Workers(2, list) as workers, pytest.raises(StepError, match="no file here"):
        list(workers.map(fail, ["no file here"]))


def fail(_: list, message: str) -> None:
    raise StepError(message)


def test_a_reason_survives_the_way_between_processes():
    with Workers(2, list) as workers, pytest.raises(InvalidRow, match="too long") as raised:
        list(workers.map(refuse, ["too long"]))
    assert raised.value.code == Reason.TOO_LONG


def refuse(_: list, message: str) -> None:
    raise InvalidRow(Reason.TOO_LONG, message)


def test_a_worker_that_is_killed_is_one_clear_error():
    with Workers(2, list) as workers, pytest.raises(StepError, match=r"ended from outside.*fewer than 2 --workers"):
        list(workers.map(die, [0]))


def die(_: list, item: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_no_worker_outlives_a_killed_step(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    process = subprocess.Popen(
        [sys.executable, script], env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE
    )
    process.stdout.readline()
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers):
        assert time.monotonic() < deadline, "a worker still runs"
        time.sleep(0.1)
