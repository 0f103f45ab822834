"""Whether what people said turns round what the given data says.

reversed:   share of the pairs of feedback whose answers the given data prefers the other way round, for the same prompt
            (steps/train/rows/reversed.py); at most `max_reversed_share`, and no rule without that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steps.gate.rules.limits import LEAST_PAIRS
from steps.gate.rules.rule import Rule, number


def turned(evaluation: Mapping[str, Any], most: float) -> Rule:
    if "reversed" not in (evaluation.get("feedback") or {}):
        unknown = "How much feedback is reversed was not judged: evaluation.json says nothing of it."
        return Rule("reversed", None, most, "not judged", unknown)
    pairs, count = number(evaluation, "feedback.pairs"), number(evaluation, "feedback.reversed")
    if not pairs:
        return Rule("reversed", None, most, "not judged", "There are no pairs of feedback.")
    told = f"{count:g} of {pairs:g} pairs of feedback prefer the other way round than the given data"
    if pairs < LEAST_PAIRS:
        few = f"{told}; fewer than {LEAST_PAIRS} pairs are not judged."
        return Rule("reversed", count / pairs, most, "not judged", few)
    share = count / pairs
    good = share <= most
    allowed = f"{'at most' if good else 'more than'} {most:g} {'is' if good else 'is not'} allowed"
    look = "" if good else "; look at who said so (Collect's pairs), or mend the given data"
    return Rule("reversed", share, most, "pass" if good else "fail", f"{told} ({share:.4f}, {allowed}){look}.")
