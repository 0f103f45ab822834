"""How much time a phase is said to take yet."""

from __future__ import annotations

import pytest

from pipeline.watching.pace import Pace
from pipeline.watching.watch import Progress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def at(done: int | None, total: int | None = 10, phase: str = "steps") -> Progress:
    return Progress("Train", phase, {}, done, total)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def saw(pace: Pace, clock: Clock, *seen: tuple[float, int]) -> None:
    for clock.now, done in seen:
        pace.saw(at(done))


def test_the_rate_so_far_tells_what_is_left_and_the_clock_goes_on(clock: Clock) -> None:
    pace = Pace(clock)
    saw(pace, clock, (0, 2), (6, 4))
    assert pace.left(at(4)) == 18
    clock.now += 5
    assert pace.left(at(4)) == 13
    clock.now += 100
    assert pace.left(at(4)) == 0


def test_the_first_item_counts_only_until_there_are_more(clock: Clock) -> None:
    pace = Pace(clock)
    saw(pace, clock, (0, 0), (30, 1))
    assert pace.left(at(1)) == 270
    saw(pace, clock, (32, 2))
    assert pace.left(at(2)) == 16


def test_nothing_is_said_before_there_is_a_rate(clock: Clock) -> None:
    pace = Pace(clock)
    assert pace.left(at(3)) is None
    saw(pace, clock, (0, 3), (9, 3))
    assert pace.left(at(3)) is None
    assert pace.left(at(None, None, "loading the model")) is None
    pace.saw(at(None, None, "loading the model"))
    assert pace.left(at(None, None, "loading the model")) is None


def test_a_phase_that_begins_anew_has_a_rate_of_its_own(clock: Clock) -> None:
    pace = Pace(clock)
    saw(pace, clock, (0, 1), (1, 9), (100, 1), (110, 2))
    assert pace.left(at(2)) == 80


def test_what_happens_between_two_steps_is_in_their_rate(clock: Clock) -> None:
    pace = Pace(clock)
    saw(pace, clock, (0, 1), (1, 2))
    pace.saw(at(0, 60, "evaluation"))
    saw(pace, clock, (11, 3))
    assert pace.left(at(3)) == 38.5
