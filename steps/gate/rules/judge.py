"""judge: whether a judge prefers the trained model's text answers to the base's.

A pair is won where its answer is preferred in both orders; McNemar's exact test, one-sided, that the trained model is
worse (`steps.shared.statistics`; with ties left out it is the sign test); p at least ALPHA. No rule without a judge.
"""

from __future__ import annotations

from steps.gate.judge.judgement import Judgement
from steps.gate.rules.limits import ALPHA, LEAST_PAIRS
from steps.gate.rules.rule import Rule, quoted
from steps.shared.statistics.mcnemar import mcnemar


def preferred(judged: Judgement) -> Rule:
    if not judged.pairs:
        reason = "The judge had nothing to compare: no question that was answered has a text for its chosen answer."
        return Rule("judge", None, ALPHA, "not judged", reason)
    if judged.stopped and not judged.judged and not judged.unreadable:
        reason = f"The judge {quoted(judged.model)} was not asked: {judged.stopped}."
        return Rule("judge", None, ALPHA, "not judged", reason)
    unreadable = f", {judged.unreadable} without a readable verdict" if judged.unreadable else ""
    stopped = f"; stopped before the other {_left(judged)} by {judged.stopped}" if judged.stopped else ""
    told = (
        f"Of {judged.judged} pairs of text answers the judge {quoted(judged.model)} prefers this model's in "
        f"{judged.wins} and the base's in {judged.losses} ({judged.ties} ties{unreadable}{stopped})"
    )
    if judged.judged < LEAST_PAIRS:
        few = f"; fewer than {LEAST_PAIRS} pairs cannot tell worse from chance."
        return Rule("judge", None, ALPHA, "not judged", told + few)
    worse = mcnemar(judged.wins, judged.losses).p_worse
    good = worse >= ALPHA
    said = f"{'not ' * good}significantly worse (McNemar's p {worse:.4f}, {'not ' * good}below {ALPHA:g})."
    return Rule("judge", worse, ALPHA, "pass" if good else "fail", f"{told}: {said}")


def _left(judged: Judgement) -> int:
    return judged.pairs - judged.judged - judged.unreadable
