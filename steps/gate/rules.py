"""The gate's rules: each looks at one figure of the evaluation, and all are looked at, whatever the others say.

rows:         held-out rows that were judged; at least `min_rows`. With few rows an accuracy says nothing.
accuracy:     held-out reward accuracy, or with `threshold_on: lower_end` the lower end of its 95 % interval (Wilson's,
              in `steps.train.evaluation.figures`); at least `threshold`.
champion:     the accuracy minus the champion's on the same rows, paired by row (`steps.train.evaluation.paired`); at
              least minus `tolerance`. Not judged where there is no champion, or none that could be compared.
chosen_drop:  by how much less probable the chosen answers became: minus `Figures.drift_chosen_per_token`, in nats a
              token; at most `max_chosen_drop`, and no rule without that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from steps.shared.contract import StepError

Verdict = Literal["pass", "fail", "not judged"]
ThresholdOn = Literal["accuracy", "lower_end"]
ROUNDING = 1e-9  # a difference of accuracies that is the tolerance on paper may exceed it in floating point


@dataclass(frozen=True)
class Limits:
    """What a model must keep; the settings of `gate:` under the same names, and two pipeline parameters.

    Attributes:
        threshold: least held-out reward accuracy, 0 to 1.
        threshold_on: whether the accuracy itself must reach it, or the lower end of its interval.
        tolerance: how far below the champion's accuracy is still good, 0 to 1.
        min_rows: fewest held-out rows that a verdict may rest on.
        max_chosen_drop: most that the chosen answers' log-probability may fall, in nats a token; None: any.
    """

    threshold: float
    threshold_on: ThresholdOn
    tolerance: float
    min_rows: int
    max_chosen_drop: float | None

    def check(self) -> None:
        """Raises StepError for a value out of range."""
        for flag, value in (("--threshold", self.threshold), ("--champion-tolerance", self.tolerance)):
            if not 0 <= value <= 1:
                raise StepError(f"{flag}: {value}: must lie between 0 and 1")
        if self.min_rows < 1:
            raise StepError(f"--min-validation-rows: {self.min_rows}: must be at least 1")
        if self.max_chosen_drop is not None and not self.max_chosen_drop >= 0:
            raise StepError(f"--max-chosen-drop: {self.max_chosen_drop}: must be at least 0")


@dataclass(frozen=True)
class Rule:
    """One row of the gate's table.

    Attributes:
        figure: what was compared with the limit; None where there was nothing to compare.
        limit: the least, or of `chosen_drop` the most, that passes.
        reason: the verdict in a sentence, with its numbers.
    """

    name: str
    figure: float | None
    limit: float
    verdict: Verdict
    reason: str


def asked(limits: Limits) -> dict[str, str]:
    """What passes each rule, before a run."""
    of = "reward accuracy" if limits.threshold_on == "accuracy" else "the lower end of reward accuracy's 95% interval"
    found = {
        "rows": f"at least {limits.min_rows} held-out rows",
        "accuracy": f"{of} of at least {limits.threshold:g}",
        "champion": f"reward accuracy at most {limits.tolerance:g} below the champion's on the same rows",
    }
    if limits.max_chosen_drop is not None:
        found["chosen_drop"] = f"chosen answers that lose at most {limits.max_chosen_drop:g} nats a token"
    return found


def rules(evaluation: Mapping[str, Any], limits: Limits, lookup: str) -> list[Rule]:
    """The whole table, in the order in which it is told.

    Args:
        lookup: what the registry said of the champion, for where there is none.

    Raises:
        StepError: the evaluation has no rows, or a figure is not a number.
    """
    found = [_rows(evaluation, limits), _accuracy(evaluation, limits), _champion(evaluation, limits, lookup)]
    if limits.max_chosen_drop is not None:
        found.append(_chosen_drop(evaluation, limits.max_chosen_drop))
    return found


def _rows(evaluation: Mapping[str, Any], limits: Limits) -> Rule:
    rows, least = evaluation["after"]["rows"], limits.min_rows
    if rows >= least:
        return Rule("rows", rows, least, "pass", f"{rows} held-out rows, at least {least}.")
    few = f"Too few rows to judge: {rows} held-out {'row' if rows == 1 else 'rows'}, where at least {least} are needed"
    fix = "give more data, hold out a larger share (ValidationFraction), or lower MinValidationRows"
    return Rule("rows", rows, least, "fail", f"{few}; {fix}.")


def _accuracy(evaluation: Mapping[str, Any], limits: Limits) -> Rule:
    after, threshold = evaluation["after"], limits.threshold
    accuracy, rows = after["reward_accuracy"], after["rows"]
    if rows < 1 or not math.isfinite(accuracy):
        raise StepError(f"evaluation.json: reward_accuracy {accuracy} over {rows} rows cannot be judged")
    on_lower_end = limits.threshold_on == "lower_end"
    figure = after["reward_accuracy_low"] if on_lower_end else accuracy
    good = figure >= threshold
    own = f"Held-out reward accuracy {accuracy:.4f}"
    if on_lower_end:
        own += f", at least {figure:.4f} with 95% confidence,"
    sentence = (
        f"{own} {'meets' if good else 'is below'} the threshold {threshold:g} "
        f"({rows} rows, {after['ties']} ties; {evaluation['before']['reward_accuracy']:.4f} before training)."
    )
    return Rule("accuracy", figure, threshold, "pass" if good else "fail", sentence)


def _champion(evaluation: Mapping[str, Any], limits: Limits, lookup: str) -> Rule:
    compared, tolerance = evaluation.get("champion"), limits.tolerance
    if not compared:
        return Rule("champion", None, -tolerance, "not judged", f"No champion: {lookup}.")
    name = f"The champion, version {compared['version'] or 'unknown'},"
    if not compared["compared"]:
        return Rule("champion", None, -tolerance, "not judged", f"{name} was not compared: {compared['reason']}.")
    champion, candidate = (compared[side]["reward_accuracy"] for side in ("champion", "candidate"))
    if not (math.isfinite(champion) and math.isfinite(candidate)):
        raise StepError(f"evaluation.json: champion: {champion} and {candidate} cannot be compared")
    difference = candidate - champion
    good = difference >= -tolerance - ROUNDING
    if difference >= 0:
        relation = f"better by {difference:.4f}" if difference else "the same"
    else:
        relation = f"worse by {-difference:.4f}, {'within' if good else 'more than'} the tolerance {tolerance:g}"
    sentence = (
        f"{name} has {champion:.4f} on the same {compared['rows']} rows, this model {candidate:.4f}, both against the "
        f"base: {relation} ({compared['wins']} rows won, {compared['losses']} lost; 95% interval of the difference "
        f"{compared['difference_low']:+.4f} to {compared['difference_high']:+.4f})."
    )
    return Rule("champion", difference, -tolerance, "pass" if good else "fail", sentence)


def _chosen_drop(evaluation: Mapping[str, Any], most: float) -> Rule:
    ratio = evaluation["after"].get("drift_chosen_per_token")
    if ratio is None:
        return Rule("chosen_drop", None, most, "not judged", "No token of a chosen answer counts in the loss.")
    if not math.isfinite(ratio):
        raise StepError(f"evaluation.json: drift_chosen_per_token {ratio} cannot be judged")
    drop = -ratio
    good = drop <= most
    moved = f"fell by {drop:.4f}" if drop > 0 else f"rose by {-drop:.4f}"
    sentence = (
        f"The chosen answers' log-probability {moved} nats a token, "
        f"{'at most' if good else 'more than'} {most:g} {'is' if good else 'is not'} allowed."
    )
    return Rule("chosen_drop", drop, most, "pass" if good else "fail", sentence)
