"""On a terminal no more than 5 seconds are silent; in a pipe a line a minute says that it still works."""

from __future__ import annotations

import io
import re
import time
from datetime import timedelta

import pytest
from rich.console import Console

from pipeline.aws.executions import ExecutionSummary, StepSummary
from pipeline.aws.transferred import transferred
from pipeline.texts import now
from pipeline.watching import beat, pulse
from pipeline.watching.view import shown
from pipeline.watching.watch import Progress, State

TRAIN = StepSummary("Train", "Training", "Executing", now() - timedelta(seconds=70))
STATE = State(ExecutionSummary("abcdefghijkl", "arn", "dpo", "Executing"), [TRAIN])


def dumb(monkeypatch: pytest.MonkeyPatch) -> Console:
    """A terminal that cannot be redrawn."""
    monkeypatch.setenv("TERM", "dumb")
    return Console(force_terminal=True, width=120, file=io.StringIO())


def written(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_on_a_terminal_no_more_than_5_seconds_are_silent_and_in_a_pipe_a_minute(monkeypatch) -> None:
    assert pulse.seconds(dumb(monkeypatch)) < 5
    assert pulse.seconds(Console(file=io.StringIO())) == 60


def test_a_terminal_that_cannot_be_redrawn_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    console = dumb(monkeypatch)
    with shown(console) as tell:
        tell(STATE)
    assert written(console) == ["Train: Executing", "execution abcdefghijkl: Executing"]


def test_a_step_that_says_nothing_is_told_to_run_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beat, "DUMB_SECONDS", 0.1)
    console = dumb(monkeypatch)
    with shown(console) as tell:
        tell(STATE)
        tell(Progress("Train", "", {"train:step": 3.0, "train:max_steps": 9.0}))
        while len(written(console)) < 5:
            time.sleep(0.01)
    first, second = written(console)[3:5]
    for line in (first, second):
        assert re.fullmatch(r"Train: [\d:]+ so far; step 3/9", line)


def test_what_says_something_itself_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[float] = []
    with beat.Pulse(0.5, lambda: said.append(time.monotonic())) as signs:
        for _ in range(20):
            signs.touch()
            time.sleep(0.01)
    assert said == []


def test_work_is_told_with_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beat, "DUMB_SECONDS", 0.05)
    console = dumb(monkeypatch)
    with pulse.working(console, "uploading to s3://b") as far:
        sent = transferred("model.safetensors", 40_000_000, far)
        sent(12_300_000)
        sent(100_000)
        while not written(console):
            time.sleep(0.01)
    assert written(console)[0].startswith("uploading to s3://b · model.safetensors: 12.4 of 40.0 MB (31 %) · 0.")


def test_work_that_ends_soon_says_nothing_in_a_pipe() -> None:
    console = Console(file=io.StringIO())
    with pulse.working(console, "copying"):
        pass
    assert written(console) == []


def test_on_a_terminal_it_is_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    console = Console(force_terminal=True, width=120, file=io.StringIO())
    with pulse.working(console, "building the definition"):
        pass
    assert "building the definition" in "".join(written(console))
