"""All rules, in the order in which they are told: each is looked at, whatever the others say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steps.gate.judge.judgement import Judgement
from steps.gate.rules import answers, canary, feedback, judge, ranking, served
from steps.gate.rules.limits import ALPHA, Limits
from steps.gate.rules.rule import Rule


def asked(limits: Limits) -> dict[str, str]:
    """What passes each rule, before a run."""
    of = "reward accuracy" if limits.threshold_on == "accuracy" else "the lower end of reward accuracy's 95% interval"
    not_worse = f"tool calls not significantly worse than {{}} (McNemar's exact test, p at least {ALPHA:g})"
    found = {
        "rows": f"at least {limits.min_rows} held-out rows",
        "accuracy": f"{of} of at least {limits.threshold:g}",
        "champion": f"reward accuracy at most {limits.tolerance:g} below the champion's on the same rows",
    }
    if limits.max_chosen_drop is not None:
        found["chosen_drop"] = f"chosen answers that lose at most {limits.max_chosen_drop:g} nats a token"
    if limits.max_served_drift is not None:
        found["served_drift"] = f"at most {limits.max_served_drift:g} of the rows that change sides when served"
    found |= {
        "calls": not_worse.format("the base's"),
        "calls_champion": not_worse.format("the champion's"),
        "degenerate": f"at most {limits.max_degenerate_share:g} of the answers degenerate",
    }
    if limits.canary_threshold is not None:
        found["canary"] = f"reward accuracy of at least {limits.canary_threshold:g} on the canary set"
        found["canary_champion"] = f"that at most {limits.tolerance:g} below the champion's"
    if limits.max_reversed_share is not None:
        found["reversed"] = f"at most {limits.max_reversed_share:g} of feedback's pairs the reverse of the given data's"
    if limits.judge is not None:
        found["judge"] = f"text answers that {limits.judge} finds not significantly worse than the base's"
    return found


def rules(evaluation: Mapping[str, Any], limits: Limits, lookup: str, judged: Judgement | None) -> list[Rule]:
    """The whole table.

    Args:
        lookup: what the registry said of the champion, for where there is none.
        judged: what the judge said, where the limits name one.

    Raises:
        StepError: the evaluation has no rows, or a figure is missing or not a number.
    """
    found = [
        ranking.rows(evaluation, limits),
        ranking.accuracy(evaluation, limits),
        ranking.champion(evaluation, limits, lookup),
    ]
    if limits.max_chosen_drop is not None:
        found.append(ranking.chosen_drop(evaluation, limits.max_chosen_drop))
    if limits.max_served_drift is not None:
        found.append(served.drift(evaluation, limits.max_served_drift))
    found += [
        answers.calls(evaluation),
        answers.calls_champion(evaluation, lookup),
        answers.degenerate(evaluation, limits.max_degenerate_share),
    ]
    if limits.canary_threshold is not None:
        found.append(canary.accuracy(evaluation, limits.canary_threshold))
        found.append(canary.champion(evaluation, limits.tolerance, lookup))
    if limits.max_reversed_share is not None:
        found.append(feedback.turned(evaluation, limits.max_reversed_share))
    if judged is not None:
        found.append(judge.preferred(judged))
    return found
