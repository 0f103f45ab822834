"""A whole evaluation.json as training writes it, of a good run, with changes at paths of keys."""

from __future__ import annotations

from typing import Any

from steps.gate.rules.limits import Limits
from steps.shared.statistics.intervals import wilson_interval
from steps.shared.statistics.mcnemar import mcnemar

REASON = "evaluate_served: no unquantised base fits this instance"
NOT_JUDGED = (  # of an evaluation of before there were served figures and answers
    " The served form was not evaluated: evaluation.json says nothing of it. What the model answers was not judged: "
    "evaluation.json says nothing of it."
)


def limits(threshold: float = 0.55, tolerance: float = 0.02, **other: Any) -> Limits:
    defaults: dict[str, Any] = {
        "threshold_on": "accuracy",
        "min_rows": 30,
        "max_chosen_drop": None,
        "max_served_drift": 0.1,
        "max_degenerate_share": 0.2,
        "judge": None,
    }
    return Limits(**defaults | other, threshold=threshold, tolerance=tolerance)


def figures(accuracy: float, rows: int = 60) -> dict[str, Any]:
    """What the gate reads of `Figures`."""
    low, high = wilson_interval(accuracy * rows, rows)
    interval = {"reward_accuracy_low": low, "reward_accuracy_high": high}
    return {"rows": rows, "ties": 0, "reward_accuracy": accuracy, **interval, "drift_chosen_per_token": 0.1}


def share(count: int, of: int) -> dict[str, Any]:
    low, high = wilson_interval(count, of)
    return {"count": count, "right": count, "n": of, "rows": of, "share": count / of, "low": low, "high": high}


def paired(wins: int, losses: int, rows: int) -> dict[str, Any]:
    test = mcnemar(wins, losses)
    return {"rows": rows, "wins": wins, "losses": losses, "p": test.p, "p_worse": test.p_worse}


def side(right: int, degenerate: int) -> dict[str, Any]:
    """One side's answers to 61 questions, 40 of them with tools."""
    counts = {"empty": 0, "unfinished": degenerate, "repetitive": 0, "marker": 0, "cut": 0, "other_script": 1}
    form = {"rows": 61, "degenerate": share(degenerate, 61), **counts, "tokens_mean": 41.0, "length_ratio": 1.0}
    return {"calls": share(right, 40), "form": form}


def evaluation(**changes: Any) -> dict[str, Any]:
    """
    Args:
        changes: values by their path, `answers__against_base__calls__wins=3`; None for a section: null.
    """
    drift = {"rows": 60, "accuracy": -0.0167, "log_prob_per_token": 0.012, "rows_changed": 2, "share_changed": 2 / 60}
    found: dict[str, Any] = {
        "before": figures(0.5),
        "after": figures(0.9),
        "served": {
            "evaluated": True,
            "reason": None,
            "same": False,
            "form": "the base in bfloat16 with the adapter",
            "before": figures(0.5),
            "after": figures(53 / 60),
            "drift": drift,
        },
        "champion": None,
        "answers": {
            "judged": True,
            "reason": None,
            "form": "served",
            "no_champion": None,
            "max_new_tokens": 256,
            "parser": "hermes",
            "parser_reason": None,
            "before": side(14, 4),
            "after": side(22, 5),
            "champion": None,
            "against_base": {"calls": paired(9, 1, 40), "form": paired(1, 2, 61)},
            "against_champion": None,
        },
    }
    for path, value in changes.items():
        *sections, last = path.split("__")
        place = found
        for key in sections:
            place = place[key]
        place[last] = value
    return found


def champion(candidate: float = 0.9, theirs: float = 0.88, **other: Any) -> dict[str, Any]:
    """The section of a champion, compared on 86 rows."""
    paired_by_row = {"wins": 3, "losses": 7, "difference_low": -0.1, "difference_high": 0.02}
    sides = {"candidate": {"reward_accuracy": candidate}, "champion": {"reward_accuracy": theirs}}
    said = {"version": "3", "compared": True, "reason": None, "rows": 86, "form": "served"}
    return {**said, **sides, **paired_by_row, **other}


def before_answers(candidate: float, theirs: float, **other: Any) -> dict[str, Any]:
    """An evaluation of before there were served figures and answers, of 86 rows, with a champion."""
    after = {"rows": 86, "ties": 0, "reward_accuracy": candidate}
    compared = champion(candidate, theirs, **other)
    del compared["form"]
    return {"before": {**after, "reward_accuracy": 0.5}, "after": after, "champion": compared}


def verdicts(found: dict[str, Any]) -> dict[str, str]:
    return {rule["name"]: rule["verdict"] for rule in found["rules"]}
