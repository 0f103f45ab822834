"""Rules on what the model writes: against base and champion, and what could not be judged."""

from __future__ import annotations

from typing import Any

import pytest

from steps.gate.rules import answers
from tests.steps.gate.evaluation import champion, evaluation, paired, share, side

LOOKUP = "no version is approved"


def test_calls_worse_than_the_champions_fail_although_they_are_better_than_the_bases() -> None:
    against = {"calls": paired(2, 12, 40), "form": paired(0, 0, 61)}
    whole = evaluation(champion=champion(), answers__champion=side(32, 0), answers__against_champion=against)
    assert answers.calls(whole).verdict == "pass"
    found = answers.calls_champion(whole, LOOKUP)
    assert (found.verdict, found.figure, found.limit) == ("fail", pytest.approx(0.0065, abs=1e-4), 0.05)
    assert found.reason == (
        "Tool calls are as the chosen answers' in 22 of 40 (0.5500), the champion's in 32 of 40 (0.8000): 2 won, 12 "
        "lost, significantly worse (McNemar's p 0.0065, below 0.05)."
    )


@pytest.mark.parametrize(("rows", "verdict"), [(4, "not judged"), (5, "fail")])
def test_fewer_than_five_questions_with_tools_cannot_tell(rows: int, verdict: str) -> None:
    against = {"calls": paired(0, rows, rows), "form": None}
    after = side(0, 0) | {"calls": share(0, rows)}
    before = side(0, 0) | {"calls": share(rows, rows)}
    found = answers.calls(evaluation(answers__after=after, answers__before=before, answers__against_base=against))
    assert found.verdict == verdict
    assert ("fewer than 5 questions with tools cannot tell worse from chance" in found.reason) == (rows < 5)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"parser": None, "parser_reason": "no parser is known for this model"},
            "Tool calls were not judged: no parser is known for this model.",
        ),
        ({}, "Tool calls were not judged: no question that was answered declares tools."),
    ],
)
def test_without_a_parser_or_tools_calls_are_not_judged_and_form_is(changes: dict[str, Any], reason: str) -> None:
    whole = evaluation()
    whole["answers"] |= changes
    for one in ("before", "after"):
        whole["answers"][one]["calls"] = None
    for found in (answers.calls(whole), answers.calls_champion(whole, LOOKUP)):
        assert (found.verdict, found.reason, found.figure) == ("not judged", reason, None)
    assert answers.degenerate(whole, 0.2).verdict == "pass"


def test_why_the_champions_answers_were_not_compared() -> None:
    alone = answers.calls_champion(evaluation(), LOOKUP)
    assert (alone.verdict, alone.reason) == ("not judged", "No champion: no version is approved.")
    other = evaluation(champion=champion(), answers__no_champion="it is of another base")
    silent = answers.calls_champion(other, LOOKUP)
    assert silent.reason == "The champion's answers were not compared: it is of another base."
    unsaid = answers.calls_champion(evaluation(champion=champion()), LOOKUP)
    assert unsaid.reason == "The champion's answers were not compared: it gave none."


@pytest.mark.parametrize(("count", "verdict"), [(0, "pass"), (12, "pass"), (13, "fail")])
def test_a_share_of_the_answers_may_be_degenerate(count: int, verdict: str) -> None:
    found = answers.degenerate(evaluation(answers__after=side(22, count)), 0.2)
    assert (found.verdict, found.figure) == (verdict, count / 61)


def test_the_faults_of_degenerate_answers_are_counted_in_words() -> None:
    after = side(22, 9)
    after["form"] |= {"empty": 2, "unfinished": 3, "repetitive": 4, "marker": 1}
    found = answers.degenerate(evaluation(answers__after=after), 1.0)
    assert found.reason == (
        "9 of 61 answers are degenerate (2 empty, 3 without an end after 256 tokens, 4 repeating themselves, 1 with a "
        "marker of the template): 0.1475, the base's 0.0656; at most 1 is allowed."
    )


def test_answers_whose_end_could_not_be_seen_are_told() -> None:
    after = side(22, 1)
    after["form"]["cut"] = 30
    found = answers.degenerate(evaluation(answers__after=after), 0.2)
    assert found.verdict == "pass"
    assert found.reason.endswith(" 30 were cut in their reasoning, or where the chosen answer is as long: no fault.")
    after["form"]["cut"] = 31
    unseen = answers.degenerate(evaluation(answers__after=after), 0.2)
    assert (unseen.verdict, unseen.figure) == ("not judged", 1 / 61)
    assert "31 of 61 answers were cut" in unseen.reason and unseen.reason.endswith("raise answers_max_new_tokens.")
    assert answers.degenerate(evaluation(answers__after=after), 0.01).verdict == "fail"
    after["calls"] = None
    silent = answers.calls(evaluation(answers__after=after, answers__against_base__calls=None))
    assert (silent.verdict, silent.reason) == ("not judged", answers.ALL_CUT)


def test_no_answer_at_all_is_not_judged() -> None:
    after = side(22, 0)
    after["form"] |= {"rows": 0, "degenerate": {"count": 0, "share": None}}
    assert answers.degenerate(evaluation(answers__after=after), 0.2).verdict == "not judged"
