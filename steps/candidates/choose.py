"""Best against worst of a prompt's answers, or why there is no pair of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from steps.candidates.answered import Answer
from steps.candidates.score import GOOD, Score
from steps.candidates.states import State
from steps.collect.exchange import answer_digest

JUDGE = "judge"
Known = tuple[Answer, Score]  # an answer that has a score


@dataclass(frozen=True)
class Choice:
    """
    Attributes:
        rule: what is wrong with the rejected one, by its score; or `judge`.
        scores: of all answers in the order in which they were drawn; None of those that cannot be trained on.
    """

    chosen: Answer
    rejected: Answer
    rule: str
    scores: tuple[float | None, ...]


def different(answers: Sequence[Answer], scores: Sequence[Score | None]) -> list[Known]:
    """The answers that have a score, each text once, in the order in which they were drawn."""
    found: dict[bytes, Known] = {}
    for answer, score in zip(answers, scores, strict=True):
        if score is not None:
            found.setdefault(answer_digest([answer.message]), (answer, score))
    return list(found.values())


def choose(
    answers: Sequence[Answer], scores: Sequence[Score | None], margin: float, *, referenced: bool
) -> Choice | State:
    """The pair, or the state that says why there is none.

    The better one has nothing wrong that could be found. Of several such the one that was drawn most often, since what
    a model says again and again is more often right (Wang et al. 2022, arXiv:2203.11171, section 2); else the one that
    was drawn first: neither the shorter one nor the longer one is preferred.

    Args:
        referenced: the right answer is known. Where it is not, nobody knows whether to call a tool: then both answers
            call, or neither does, lest a call that went wrong teaches to call none.
    """
    known = different(answers, scores)
    groups = [known] if referenced else [[one for one in known if _calls(one) is calling] for calling in (True, False)]
    drawn = Counter(answer_digest([answer.message]) for answer in answers)
    found = [_of_group(group, drawn, margin) for group in groups]
    pair = next((one for one in found if not isinstance(one, State)), None)
    if pair is None:
        return next(state for state in (State.NO_DIFFERENCE, State.NONE_GOOD, State.TOO_FEW) if state in found)
    (chosen, _), (rejected, worst) = pair
    values = tuple(None if score is None else score.value for score in scores)
    return Choice(chosen, rejected, str(worst.wrong), values)


def _calls(one: Known) -> bool:
    answer, score = one
    return bool(answer.calls) or score.wrong == "unreadable"


def _of_group(group: Sequence[Known], drawn: Counter[bytes], margin: float) -> tuple[Known, Known] | State:
    """(best, worst) of answers that can be compared, or why there is no pair of them."""
    if len(group) < 2:
        return State.TOO_FEW
    best = max(group, key=lambda one: (one[1].value, drawn[answer_digest([one[0].message])]))
    worst = min(group, key=lambda one: one[1].value)
    if best[1].value < GOOD:
        return State.NONE_GOOD
    return State.NO_DIFFERENCE if best[1].value - worst[1].value <= margin else (best, worst)


def chosen_by_judge(judged: Sequence[tuple[Answer, float]], count: int, margin: float) -> Choice | State:
    """The same of answers that a judge has compared.

    Args:
        judged: answers with their scores.
        count: of all answers, those that nobody judged included.
    """
    best, worst = max(judged, key=lambda one: one[1]), min(judged, key=lambda one: one[1])
    if best[1] - worst[1] <= margin:
        return State.NO_DIFFERENCE
    values = {answer.number: value for answer, value in judged}
    return Choice(best[0], worst[0], JUDGE, tuple(values.get(number) for number in range(count)))
