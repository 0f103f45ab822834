"""The judge of text answers: every two in both orders, shares of wins, bounds."""

from __future__ import annotations

import time

import pytest

from steps.candidates.judge import AT_ONCE, Judge, reachable
from steps.champion import approved
from steps.gate.judge.bedrock import Reply
from tests.steps.candidates.made import answer, prompt

ENDLESS = time.monotonic() + 10**6


def by_length(question: str) -> Reply:
    """A judge that finds the longer answer better."""
    first, second = (question.partition(f"<answer_{name}>\n")[2].partition("\n</answer_")[0] for name in "AB")
    return Reply("[[A]]" if len(first) > len(second) else "[[B]]", "end_turn", 100)


def judging(most: int = 10**6, end: float = ENDLESS) -> Judge:
    return Judge("m", by_length, most, end)


def texts(*said: str) -> list:
    return [answer(text, number) for number, text in enumerate(said)]


def test_an_answers_score_is_its_share_of_wins() -> None:
    judge = judging()
    (scores,) = judge.scores([(prompt(), texts("three", "1", "ab"))])
    assert scores == [1.0, 0.0, 0.5]
    assert (judge.comparisons, judge.tokens, judge.stopped) == (3, 600, None)


def test_one_that_prefers_what_it_reads_first_finds_no_difference() -> None:
    judge = Judge("m", lambda question: Reply("[[A]]", "end_turn", 1), 10**6, ENDLESS)
    assert list(judge.scores([(prompt(), texts("a", "bb"))])) == [[0.5, 0.5]]


def test_the_bound_on_tokens_ends_it_between_prompts_and_is_told() -> None:
    judge = judging(most=1)
    found = list(judge.scores([(prompt(f"{number}"), texts("a", "bb")) for number in range(AT_ONCE + 2)]))
    assert found == [[0.0, 1.0]] * AT_ONCE + [None] * 2
    assert judge.stopped == "judge_max_tokens" and judge.comparisons == AT_ONCE


def test_so_does_the_time() -> None:
    judge = judging(end=time.monotonic() - 1)
    assert list(judge.scores([(prompt(), texts("a", "bb"))])) == [None]
    assert judge.stopped == "max_minutes" and judge.tokens == 0


def test_without_one_or_on_this_machine_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(approved.VARIABLE, raising=False)
    assert reachable("m") is None and "gate.judge" in str(reachable(None))
    monkeypatch.setenv(approved.VARIABLE, "/registry")
    assert "this machine" in str(reachable("m"))
