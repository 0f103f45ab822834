"""The gate's verdict on an evaluation: the absolute threshold, and the champion's accuracy on the same rows.

A model passes with an accuracy of at least the threshold that is not below the champion's by more than the tolerance.
Where there is no champion, or none that could be compared, the threshold decides alone, and the message says why.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from steps.shared.contract import StepError

NONE = "none"
ROUNDING = 1e-9  # a difference of accuracies that is the tolerance on paper may exceed it in floating point


def decide(evaluation: Mapping[str, Any], threshold: float, tolerance: float, lookup: str) -> dict[str, Any]:
    """The verdict with its numbers, under fixed keys; what is about the champion is text, `none` without one.

    `message` is for people. `summary` says the same in the letters and the length that a model package's metadata take
    (CustomerMetadataValue: letters, digits, spaces and _.:/=+-@, at most 256).

    Args:
        tolerance: how far below the champion's reward accuracy is still good.
        lookup: what the registry said of the champion, for where there is none.

    Raises:
        StepError: the evaluation has no rows or no usable number.
    """
    after = evaluation["after"]
    accuracy, rows = after["reward_accuracy"], after["rows"]
    if rows < 1 or not math.isfinite(accuracy):
        raise StepError(f"evaluation.json: reward_accuracy {accuracy} over {rows} rows cannot be judged")
    good = accuracy >= threshold
    relation = "meets" if good else "is below"
    threshold_alone = (
        f"Held-out reward accuracy {accuracy:.4f} {relation} the threshold {threshold:g} "
        f"({rows} rows, {after['ties']} ties; {evaluation['before']['reward_accuracy']:.4f} before training)."
    )
    compared = evaluation.get("champion")
    not_worse, said, facts = _against(compared, tolerance) if compared else (True, f"No champion: {lookup}.", _none())
    decision = "pass" if good and not_worse else "fail"
    return {
        "decision": decision,
        "message": f"{threshold_alone} {said}",
        "summary": _summary(decision, accuracy, threshold, rows, facts, tolerance),
        "reward_accuracy": accuracy,
        "reward_accuracy_before": evaluation["before"]["reward_accuracy"],
        "threshold": threshold,
        "rows": rows,
        "ties": after["ties"],
        "champion_tolerance": tolerance,
        **facts,
    }


def _none(version: str = NONE) -> dict[str, str]:
    return {
        "champion": version,
        "champion_reward_accuracy": NONE,
        "champion_candidate_reward_accuracy": NONE,
        "champion_difference": NONE,
    }


def _against(compared: Mapping[str, Any], tolerance: float) -> tuple[bool, str, dict[str, str]]:
    """Whether the model is good enough beside the champion, in words, and in figures."""
    version = compared["version"] or "unknown"
    name = f"The champion, version {version},"
    if not compared["compared"]:
        return True, f"{name} was not compared: {compared['reason']}.", _none(version)
    champion, candidate = (compared[side]["reward_accuracy"] for side in ("champion", "candidate"))
    if not (math.isfinite(champion) and math.isfinite(candidate)):
        raise StepError(f"evaluation.json: champion: {champion} and {candidate} cannot be compared")
    difference = candidate - champion
    good = difference >= -tolerance - ROUNDING
    if difference >= 0:
        relation = f"better by {difference:.4f}" if difference else "the same"
    else:
        relation = f"worse by {-difference:.4f}, {'within' if good else 'more than'} the tolerance {tolerance:g}"
    said = (
        f"{name} has {champion:.4f} on the same {compared['rows']} rows, this model {candidate:.4f}, both against the "
        f"base: {relation} ({compared['wins']} rows won, {compared['losses']} lost; 95% interval of the difference "
        f"{compared['difference_low']:+.4f} to {compared['difference_high']:+.4f})."
    )
    return good, said, {
        "champion": version,
        "champion_reward_accuracy": f"{champion:.4f}",
        "champion_candidate_reward_accuracy": f"{candidate:.4f}",
        "champion_difference": f"{difference:+.4f}",
    }  # fmt: skip


def _summary(
    decision: str, accuracy: float, threshold: float, rows: int, facts: Mapping[str, str], tolerance: float
) -> str:
    own = f"{decision}: reward accuracy {accuracy:.4f} threshold {threshold:g} rows {rows}"
    if facts["champion_difference"] == NONE:
        return f"{own} champion not compared"
    return (
        f"{own} champion version {facts['champion']} has {facts['champion_reward_accuracy']} "
        f"difference {facts['champion_difference']} tolerance {tolerance:g}"
    )
