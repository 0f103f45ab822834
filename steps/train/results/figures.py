"""The figures of held-out rows as the pages write them: before and after training, and in the form that is served.

Needs the standard library and the pages' shared parts only, so that the page of an execution can be drawn where no
training runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steps.shared.pages.template import number, share

# A figure, its name, how it is written, and what it says.
FIGURES = (
    ("loss", "Loss", "%.4f", "mean of -log sigmoid(beta · margin), whatever loss is trained; ln 2 = 0.6931 is chance"),
    ("reward_accuracy", "Reward accuracy", "share", "rows whose chosen answer has the higher implicit reward"),
    ("reward_margin", "Reward margin", "%+.4f", "mean implicit reward of chosen minus rejected"),
    ("ties", "Ties", "number", "rows with a margin of exactly 0; each counts as half a right one"),
    ("drift_chosen", "Drift, chosen", "%+.3f", "mean log-probability of the answer minus the reference's, in nats"),
    ("drift_rejected", "Drift, rejected", "%+.3f", "the same for the rejected answers"),
    ("drift_chosen_per_token", "Drift per token, chosen", "%+.4f", "over all tokens, in nats per token"),
    ("drift_rejected_per_token", "Drift per token, rejected", "%+.4f", "the same for the rejected answers"),
    ("longer_is_preferred", "Longer preferred", "share", "rows whose longer answer has the higher implicit reward"),
    ("length_margin_correlation", "Length and margin", "%+.3f", "rank correlation of the difference in tokens with it"),
)  # fmt: skip


def before_and_after(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Of each figure its name, its value before and after training, and what it says."""
    return [(label, written(before[key], how), written(after[key], how), said) for key, label, how, said in FIGURES]


def as_served(evaluation: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The figures that both forms have: a name, then before and after as trained, before and after as served."""
    served = evaluation.get("served")
    if not served or not served["evaluated"] or served["same"]:
        return []
    forms = (evaluation["before"], evaluation["after"], served["before"], served["after"])
    known = [(key, label, how) for key, label, how, _ in FIGURES if all(key in form for form in forms)]
    return [(label, *(written(form[key], how) for form in forms)) for key, label, how in known]


def written(value: float | None, how: str) -> str:
    """A figure as its entry in FIGURES says."""
    if value is None:
        return "not defined"
    if how == "share":
        return share(value)
    return number(value) if how == "number" else how % value


def verdict(after: Mapping[str, Any]) -> tuple[str, str]:
    """What the interval of the reward accuracy allows to say, and whether that is good, bad or nothing yet."""
    if after["reward_accuracy_low"] > 0.5:
        return "good", "Better than chance"
    if after["reward_accuracy_high"] < 0.5:
        return "bad", "Worse than chance"
    return "warn", "May be chance"
