"""Entries reach a tracker that fails for a while, in order; one that stays down costs nothing but its own entries."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from steps.train.tracking import outbox
from steps.train.tracking.outbox import Delivery, read_buffer
from steps.train.tracking.tracker import Entry, Refused, Status


class Service:
    """A tracker in memory that raises as long as `down`."""

    name = "service"
    run_id = "1"

    def __init__(self, *, down: bool = False):
        self.down = down
        self.refuses: set[int] = set()
        self.opened = 0
        self.got: list[Entry] = []
        self.status: Status | None = None
        self.blocked = threading.Event()
        self.blocked.set()

    def _answer(self) -> None:
        self.blocked.wait(30)
        if self.down:
            raise ConnectionError("connection refused\nand a page of details")

    def open(self) -> None:
        self._answer()
        self.opened += 1

    def send(self, entry: Entry) -> None:
        self._answer()
        if entry.step in self.refuses:
            raise Refused("no such metric")
        self.got.append(entry)

    def close(self, status: Status) -> None:
        self._answer()
        self.status = status

    def place(self) -> dict[str, Any]:
        return {}

    def sync_commands(self, *, closed: bool) -> list[str]:
        return []


def metrics(step: int) -> Entry:
    return Entry("metrics", {"loss": 1 / step}, step, milliseconds=step)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert true()


def deliver(service: Service, folder: Path) -> Delivery:
    delivery = Delivery(service, folder / "buffer.jsonl", first_pause=0.01)
    delivery.start()
    return delivery


def test_everything_arrives_in_order_and_the_run_is_ended(tmp_path: Path) -> None:
    service = Service()
    delivery = deliver(service, tmp_path)
    for step in (1, 2, 3):
        delivery.put(metrics(step))
    outcome = delivery.finish("FINISHED", 10)
    assert [entry.step for entry in service.got] == [1, 2, 3] and service.status == "FINISHED"
    assert outcome.whole and outcome.delivered == 3 and not delivery.buffer.exists()


def test_a_tracker_that_comes_back_gets_what_it_missed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    service = Service(down=True)
    with caplog.at_level(logging.INFO):
        delivery = deliver(service, tmp_path)
        delivery.put(metrics(1))
        until(delivery.buffer.exists)
        delivery.put(metrics(2))
        until(lambda: [entry.step for entry in read_buffer(delivery.buffer)] == [1, 2])
        service.down = False
        until(lambda: not delivery.buffer.exists())
        outcome = delivery.finish("FINISHED", 10)
    assert [entry.step for entry in service.got] == [1, 2] and service.opened == 1 and outcome.whole
    assert caplog.messages == [
        f"service: not reached (connection refused); training goes on, what it misses is kept in {delivery.buffer} "
        "and sent again",
        "service: answers again, nothing is missing",
    ]


def test_a_tracker_that_stays_down_leaves_a_file_that_another_process_sends(tmp_path: Path) -> None:
    delivery = deliver(Service(down=True), tmp_path)
    for step in (4, 5):
        delivery.put(metrics(step))
    outcome = delivery.finish("FINISHED", 0.2)
    assert not outcome.whole and outcome.undelivered == {"metrics": 2} and outcome.steps == (4, 5)
    assert outcome.last_error == "connection refused"
    service = Service()
    later = deliver(service, tmp_path)
    assert later.finish("FINISHED", 10).whole
    assert service.got == [metrics(4), metrics(5)] and not later.buffer.exists()


@pytest.mark.parametrize("reached", [True, False])
def test_the_end_waits_less_for_a_tracker_that_was_never_reached(
    reached: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "UNREACHED_SECONDS", 0.1)
    service = Service(down=not reached)
    delivery = deliver(service, tmp_path)
    if reached:
        delivery.put(metrics(1))
        until(lambda: service.got == [metrics(1)])
        service.down = True
    delivery.put(metrics(2))
    until(delivery.buffer.exists)
    threading.Timer(1, setattr, (service, "down", False)).start()  # it comes back while the end waits, or too late
    assert delivery.finish("FINISHED", 30).whole == reached


def test_a_tracker_that_hangs_delays_neither_an_entry_nor_the_end(tmp_path: Path) -> None:
    service = Service()
    service.blocked.clear()
    delivery = deliver(service, tmp_path)
    delivery.put(metrics(1))
    outcome = delivery.finish("FINISHED", 0.2)  # returns, although the tracker does not
    assert outcome.last_error == "no answer within 0.2 s"
    assert outcome.undelivered == {"metrics": 1} and read_buffer(delivery.buffer) == [metrics(1)]
    service.blocked.set()


def test_an_entry_that_is_refused_is_reported_and_does_not_hold_up_the_next(tmp_path: Path) -> None:
    service = Service()
    service.refuses = {1}
    delivery = deliver(service, tmp_path)
    delivery.put(metrics(1))
    delivery.put(metrics(2))
    outcome = delivery.finish("FINISHED", 10)
    assert service.got == [metrics(2)]
    assert outcome.refused == ["metrics of step 1: no such metric"] and outcome.closed and not outcome.whole


def test_a_line_that_was_cut_off_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    delivery = Delivery(Service(down=True), tmp_path / "buffer.jsonl")
    delivery._keep([metrics(1), metrics(2)], "w")
    delivery.buffer.write_text(delivery.buffer.read_text()[:-20])
    with caplog.at_level(logging.WARNING):
        assert read_buffer(delivery.buffer) == [metrics(1)]
    assert caplog.messages == [f"{delivery.buffer}:2: not a whole entry, left out"]
