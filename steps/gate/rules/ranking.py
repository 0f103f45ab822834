"""Rules on how the model ranks the held-out answers; in the served form, where that was evaluated.

rows:         held-out rows that were judged; at least `min_rows`. With few rows an accuracy says nothing.
accuracy:     held-out reward accuracy, or with `threshold_on: lower_end` the lower end of its 95 % interval (Wilson's,
              in `steps.shared.statistics`); at least `threshold`.
champion:     the accuracy minus the champion's on the same rows, paired by row (`steps.train.evaluation.paired`); at
              least minus `tolerance`. Not judged where there is no champion, or none that could be compared.
chosen_drop:  by how much less probable the chosen answers became: minus `Figures.drift_chosen_per_token`, in nats a
              token; at most `max_chosen_drop`, and no rule without that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steps.gate.rules import served
from steps.gate.rules.limits import Limits
from steps.gate.rules.rule import Rule, number, number_or_none, quoted, value
from steps.shared.contract import StepError

ROUNDING = 1e-9  # a difference of accuracies that is the tolerance on paper may exceed it in floating point


def rows(evaluation: Mapping[str, Any], limits: Limits) -> Rule:
    found, least = number(evaluation, "after.rows"), limits.min_rows
    if found >= least:
        return Rule("rows", found, least, "pass", f"{found} held-out rows, at least {least}.")
    few = f"Too few rows to judge: {found} held-out row{'s' * (found != 1)}, where at least {least} are needed"
    fix = "give more data, hold out a larger share (ValidationFraction), or lower MinValidationRows"
    return Rule("rows", found, least, "fail", f"{few}; {fix}.")


def accuracy(evaluation: Mapping[str, Any], limits: Limits) -> Rule:
    path, threshold = served.figures(evaluation), limits.threshold
    own, count, ties = (number(evaluation, f"{path}after.{name}") for name in ("reward_accuracy", "rows", "ties"))
    before = number(evaluation, f"{path}before.reward_accuracy")
    if count < 1:
        raise StepError(f"evaluation.json: {path}after: reward_accuracy {own} over {count} rows cannot be judged")
    on_lower_end = limits.threshold_on == "lower_end"
    figure = number(evaluation, f"{path}after.reward_accuracy_low") if on_lower_end else own
    good = figure >= threshold
    words = [f"Held-out reward accuracy {own:.4f}"]
    if served.is_served(evaluation):
        words.append("as served")
    if on_lower_end:
        words.append(f"at least {figure:.4f} with 95% confidence")
    sentence = (
        f"{', '.join(words)}{',' * (len(words) > 1)} {'meets' if good else 'is below'} the threshold {threshold:g} "
        f"({count} rows, {ties} ties; {before:.4f} before training)."
    )
    if limits.max_served_drift is None and evaluation.get("served"):  # else `served_drift` says it
        sentence = f"{sentence} {served.why_not(evaluation)}".rstrip()
    return Rule("accuracy", figure, threshold, "pass" if good else "fail", sentence)


def no_champion(lookup: str) -> str:
    return f"No champion: {quoted(lookup)}."


def uncompared(rule: str, evaluation: Mapping[str, Any], tolerance: float, lookup: str) -> Rule | None:
    """The rule, not judged, where there is no champion, or it could not be compared; None where it was."""
    if not evaluation.get("champion"):
        return Rule(rule, None, -tolerance, "not judged", no_champion(lookup))
    if value(evaluation, "champion.compared"):
        return None
    reason = f"{_named(evaluation)} was not compared: {quoted(value(evaluation, 'champion.reason'))}."
    return Rule(rule, None, -tolerance, "not judged", reason)


def _named(evaluation: Mapping[str, Any]) -> str:
    return f"The champion, version {quoted(value(evaluation, 'champion.version') or 'unknown')},"


def champion(evaluation: Mapping[str, Any], limits: Limits, lookup: str) -> Rule:
    tolerance = limits.tolerance
    if unjudged := uncompared("champion", evaluation, tolerance, lookup):
        return unjudged
    compared = evaluation["champion"]
    theirs, own = (number(evaluation, f"champion.{side}.reward_accuracy") for side in ("champion", "candidate"))
    count, wins, losses, low, high = (
        number(evaluation, f"champion.{name}")
        for name in ("rows", "wins", "losses", "difference_low", "difference_high")
    )
    difference = own - theirs
    good = difference >= -tolerance - ROUNDING
    if difference >= 0:
        relation = f"better by {difference:.4f}" if difference else "the same"
    else:
        relation = f"worse by {-difference:.4f}, {'within' if good else 'more than'} the tolerance {tolerance:g}"
    form = f" as {quoted(compared['form'])}" if compared.get("form") else ""
    sentence = (
        f"{_named(evaluation)} has {theirs:.4f} on the same {count} rows, this model {own:.4f}, both{form} against the "
        f"base: {relation} ({wins} rows won, {losses} lost; 95% interval of the difference {low:+.4f} to {high:+.4f})."
    )
    return Rule("champion", difference, -tolerance, "pass" if good else "fail", sentence)


def chosen_drop(evaluation: Mapping[str, Any], most: float) -> Rule:
    path = f"{served.figures(evaluation)}after"
    # Older evaluations lack the key where no token counts.
    known = "drift_chosen_per_token" in value(evaluation, path)
    ratio = number_or_none(evaluation, f"{path}.drift_chosen_per_token") if known else None
    if ratio is None:
        return Rule("chosen_drop", None, most, "not judged", "No token of a chosen answer counts in the loss.")
    drop = -ratio
    good = drop <= most
    moved = f"fell by {drop:.4f}" if drop > 0 else f"rose by {-drop:.4f}"
    sentence = (
        f"The chosen answers' log-probability{', as served,' * served.is_served(evaluation)} {moved} nats a token, "
        f"{'at most' if good else 'more than'} {most:g} {'is' if good else 'is not'} allowed."
    )
    return Rule("chosen_drop", drop, most, "pass" if good else "fail", sentence)
