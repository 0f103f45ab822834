"""The rule on the judge's verdicts."""

from __future__ import annotations

from typing import Any

import pytest

from steps.gate.judge.judgement import Judgement
from steps.gate.rules.judge import preferred


def judged(wins: int, losses: int, ties: int = 0, **other: Any) -> Judgement:
    given = {"pairs": wins + losses + ties, "unreadable": 0, "tokens": 1000, "stopped": None} | other
    return Judgement("the.judge", wins=wins, losses=losses, ties=ties, **given)


@pytest.mark.parametrize(
    ("wins", "losses", "verdict", "p"),
    [
        (20, 5, "pass", 0.9995),
        (5, 20, "fail", 0.002),
        (4, 9, "pass", 0.1334),
        (0, 5, "fail", 0.0312),
        (3, 3, "pass", 0.6562),
    ],
)
def test_a_model_fails_where_the_judge_finds_it_significantly_worse(
    wins: int, losses: int, verdict: str, p: float
) -> None:
    found = preferred(judged(wins, losses, 10))
    assert (found.verdict, found.limit) == (verdict, 0.05)
    assert found.figure == pytest.approx(p, abs=1e-4)


def test_ties_alone_are_no_failure_and_unreadable_verdicts_are_counted() -> None:
    found = preferred(judged(0, 0, 10, unreadable=3, pairs=20, stopped="judge_max_tokens: 1000"))
    assert found.verdict == "pass"
    assert found.reason == (
        "Of 10 pairs of text answers the judge the.judge prefers this model's in 0 and the base's in 0 (10 ties, 3 "
        "without a readable verdict; stopped before the other 7 by judge_max_tokens: 1000): not significantly worse "
        "(McNemar's p 1.0000, not below 0.05)."
    )


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (judged(0, 0), "The judge had nothing to compare"),
        (judged(0, 4), "fewer than 5 pairs cannot tell worse from chance"),
        (judged(0, 0, unreadable=9, pairs=9), "9 without a readable verdict"),
    ],
)
def test_too_few_verdicts_are_no_judgement(one: Judgement, reason: str) -> None:
    found = preferred(one)
    assert (found.verdict, found.figure) == ("not judged", None)
    assert reason in found.reason
