"""What a job says of its phases reads back as it was meant, and no more often than a log can bear."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.shared.signs import phases
from steps.shared.signs.phases import Phase, line, read

names = st.from_regex(r"[a-z][a-z,-]*( [a-z-]+){0,3}", fullmatch=True)
far = st.tuples(st.integers(0, 10**9), st.integers(0, 10**9))


@given(names, st.none() | far)
def test_a_line_reads_back(name: str, counted: tuple[int, int] | None) -> None:
    phase = Phase(name, *(counted or ()))
    assert read(line(phase)) == phase


@given(st.text())
def test_any_other_text_is_no_phase_or_one_of_a_name(text: str) -> None:
    found = read(text)
    assert found is None or (text.startswith("[phase] ") and found.name.strip())


def test_lines_of_other_kinds_are_no_phase() -> None:
    for text in ("", "[metrics] step=1/2 loss=0.5", "INFO [phase] saving", "[phase]", "[phase] ", "[phase] a\nb"):
        assert read(text) is None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, as its only entry."""
    time = [100.0]
    monkeypatch.setattr(phases, "tell", phases.Teller(lambda: time[0]).tell)
    return time


def test_a_phase_is_told_as_it_begins_and_then_every_few_seconds(clock, capsys) -> None:
    count = phases.Count("tokenising", 300)
    for _ in range(11):
        count.add(10)
        clock[0] += 1
    phases.tell("saving the results")
    phases.tell("saving the results")
    assert capsys.readouterr().out.splitlines() == [
        "[phase] tokenising 0/300",
        "[phase] tokenising 60/300",
        "[phase] tokenising 110/300",
        "[phase] saving the results",
    ]


def test_parts_add_up_and_never_to_more_than_all(clock, capsys) -> None:
    count = phases.Count("answers", 3)
    for _ in range(9):
        clock[0] += phases.EVERY_SECONDS
        count.add(0.4)
    told = [read(text) for text in capsys.readouterr().out.splitlines()]
    assert [phase.done for phase in told if phase] == [0, 0, 0, 1, 1, 2, 2, 2, 3, 3]


def test_one_process_of_several_speaks(clock, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    phases.tell("loading the model")
    assert capsys.readouterr().out == ""
