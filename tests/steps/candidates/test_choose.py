"""Best against worst: what makes a pair, and what does not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from steps.candidates.choose import Choice, choose, chosen_by_judge
from steps.candidates.score import Score
from steps.candidates.states import State
from tests.steps.candidates.made import answer, call

GOOD, HALF, BAD = Score(1.0), Score(0.5, "arguments"), Score(0.0, "undeclared")


def chosen(
    *scores: Score | None, margin: float = 0.3, texts: Sequence[str] = "abcdefgh", **more: bool
) -> Choice | State:
    answers = [answer(texts[number], number) for number in range(len(scores))]
    return choose(answers, scores, margin, **({"referenced": True} | more))


def test_the_first_of_the_best_and_the_first_of_the_worst() -> None:
    found = chosen(HALF, GOOD, BAD, GOOD, BAD)
    assert isinstance(found, Choice)
    assert (found.chosen.number, found.rejected.number, found.rule) == (1, 2, "undeclared")
    assert found.scores == (0.5, 1.0, 0.0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("scores", "margin", "state"),
    [
        ((GOOD, GOOD), 0.3, State.NO_DIFFERENCE),
        ((GOOD, HALF), 0.5, State.NO_DIFFERENCE),  # more than the margin, not as much
        ((HALF, BAD), 0.3, State.NONE_GOOD),
        ((GOOD, None), 0.3, State.TOO_FEW),
        ((None, None), 0.3, State.TOO_FEW),
    ],
)
def test_no_pair(scores: tuple[Score | None, ...], margin: float, state: State) -> None:
    assert chosen(*scores, margin=margin) is state


def test_an_answer_that_is_said_again_is_one() -> None:
    assert chosen(GOOD, GOOD, GOOD, texts="aaa") is State.TOO_FEW


def test_of_the_best_the_one_that_was_drawn_most_often() -> None:
    found = chosen(GOOD, GOOD, BAD, GOOD, texts="abcb")
    assert isinstance(found, Choice) and (found.chosen.number, found.rejected.number) == (1, 2)


BROKEN, WRONG = Score(0.0, "unreadable"), Score(0.25, "schema")


@pytest.mark.parametrize(
    ("texts", "scores", "expected"),
    [
        (["Rome?", "<tool_call>"], (GOOD, BROKEN), State.TOO_FEW),
        (["Rome?", call(7)], (GOOD, WRONG), State.TOO_FEW),
        (["Rome?", call(7), call(8)], (GOOD, WRONG, WRONG), State.NONE_GOOD),
        (["Rome?", "Oslo?", call(7)], (GOOD, GOOD, WRONG), State.NO_DIFFERENCE),
        (["Rome?", call(7), call()], (GOOD, WRONG, GOOD), (2, 1)),
        (["Rome?", "<tool_call>", call()], (GOOD, BROKEN, GOOD), (2, 1)),
        (["Rome?", call(7), "Rome Rome"], (GOOD, WRONG, Score(0.0, "form")), (0, 2)),
    ],
)
def test_without_a_right_answer_calls_are_compared_with_calls_and_words_with_words(
    texts: list[str], scores: tuple[Score, ...], expected: State | tuple[int, int]
) -> None:
    found = chosen(*scores, texts=texts, referenced=False)
    assert expected == (found if isinstance(found, State) else (found.chosen.number, found.rejected.number))


def test_a_judges_scores_have_the_same_margin() -> None:
    answers = [answer(text, number) for number, text in enumerate("abc")]
    found = chosen_by_judge([(answers[0], 0.0), (answers[2], 1.0)], 3, 0.3)
    assert isinstance(found, Choice)
    assert (found.chosen.number, found.rejected.number, found.rule, found.scores) == (2, 0, "judge", (0.0, None, 1.0))
    assert chosen_by_judge([(answers[0], 0.5), (answers[2], 0.5)], 3, 0.3) is State.NO_DIFFERENCE
