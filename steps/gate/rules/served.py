"""Whether what was judged is what is served: the form of the figures, and how far the two forms differ.

served_drift: share of the held-out rows whose margin has another sign on the unquantised base than on the base as it
              was trained on (`drift.share_changed`); at most `max_served_drift`, and no rule without that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steps.gate.rules.rule import Rule, number, number_or_none, quoted, value


def is_served(evaluation: Mapping[str, Any]) -> bool:
    """Whether there are figures of the served form, be it the trained one itself."""
    return bool(evaluation.get("served")) and bool(value(evaluation, "served.evaluated"))


def figures(evaluation: Mapping[str, Any]) -> str:
    """The path of the section that has `before` and `after` as served, with a point at its end; empty: the top."""
    return "served." if is_served(evaluation) and not value(evaluation, "served.same") else ""


def why_not(evaluation: Mapping[str, Any]) -> str:
    """Why there are no figures of the served form, as a sentence; empty where there are."""
    if is_served(evaluation):
        return ""
    if not evaluation.get("served"):
        return "The served form was not evaluated: evaluation.json says nothing of it."
    return f"The served form was not evaluated: {quoted(value(evaluation, 'served.reason'))}."


def drift(evaluation: Mapping[str, Any], most: float) -> Rule:
    if unknown := why_not(evaluation):
        return Rule("served_drift", None, most, "not judged", unknown)
    if value(evaluation, "served.same"):
        return Rule("served_drift", 0.0, most, "pass", "The trained form is the one that is served.")
    rows, changed = number(evaluation, "served.drift.rows"), number(evaluation, "served.drift.rows_changed")
    share = number(evaluation, "served.drift.share_changed")
    nats = number_or_none(evaluation, "served.drift.log_prob_per_token")
    good = share <= most
    sentence = (
        f"Served as {quoted(value(evaluation, 'served.form'))}, {changed:g} of {rows:g} held-out rows change sides "
        f"({share:.4f}, {'at most' if good else 'more than'} {most:g} {'is' if good else 'is not'} allowed); reward "
        f"accuracy moves by {number(evaluation, 'served.drift.accuracy'):+.4f}, chosen answers' log-probability by "
        f"{'an unknown number of' if nats is None else f'{nats:.4f}'} nats a token."
    )
    return Rule("served_drift", share, most, "pass" if good else "fail", sentence)
