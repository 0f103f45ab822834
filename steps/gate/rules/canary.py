"""Rules on the canary set: held-out rows that no run trains on, the same in every run.

canary:           reward accuracy on it; at least `canary_threshold`, and no such rules without that.
canary_champion:  that minus the champion's on the same rows; at least minus `tolerance`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steps.gate.rules.ranking import ROUNDING, uncompared
from steps.gate.rules.rule import Rule, number

NONE = (
    "No row of the canary set could be evaluated; look for them in Preprocess's quarantine and Train's left_out.jsonl."
)


def accuracy(evaluation: Mapping[str, Any], least: float) -> Rule:
    if not evaluation.get("canary"):
        return Rule("canary", None, least, "fail", NONE)
    own, rows = number(evaluation, "canary.reward_accuracy"), number(evaluation, "canary.rows")
    good = own >= least
    said = f"Reward accuracy on the canary set {own:.4f} {'meets' if good else 'is below'} {least:g} ({rows:g} rows)."
    return Rule("canary", own, least, "pass" if good else "fail", said)


def champion(evaluation: Mapping[str, Any], tolerance: float, lookup: str) -> Rule:
    if unjudged := uncompared("canary_champion", evaluation, tolerance, lookup):
        return unjudged
    if not evaluation["champion"].get("canary"):
        return Rule("canary_champion", None, -tolerance, "not judged", NONE)
    own, theirs = (number(evaluation, f"champion.canary.{side}.reward_accuracy") for side in ("candidate", "champion"))
    wins, losses, rows = (number(evaluation, f"champion.canary.{name}") for name in ("wins", "losses", "rows"))
    difference = own - theirs
    good = difference >= -tolerance - ROUNDING
    said = (
        f"On the {rows:g} rows of the canary set the champion has {theirs:.4f}, this model {own:.4f} ({wins:g} won, "
        f"{losses:g} lost): {'within' if good else 'more than'} the tolerance {tolerance:g}."
    )
    return Rule("canary_champion", difference, -tolerance, "pass" if good else "fail", said)
