"""The gate's verdict on an evaluation: a model passes where none of the rules fails.

Where there is no champion, or none that could be compared, the others decide, and the message says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from steps.gate.judge.judgement import Judgement
from steps.gate.rules import served
from steps.gate.rules.limits import Limits
from steps.gate.rules.rule import Rule, number, value
from steps.gate.rules.table import rules

NONE = "none"
ALWAYS_SAID = ("accuracy", "champion", "calls", "judge")  # the other rules are told where they do not pass
LONGEST_SUMMARY = 256  # CustomerMetadataValue


def decide(
    evaluation: Mapping[str, Any], limits: Limits, lookup: str, judged: Judgement | None = None
) -> dict[str, Any]:
    """The verdict with its numbers, under fixed keys; what may be unknown is text, and `none` where it is.

    `rules` is the whole table. `message` is for people and names every rule that failed. `summary` says the same in the
    letters and the length that a model package's metadata take (CustomerMetadataValue: letters, digits, spaces and
    _.:/=+-@, at most 256). `reward_accuracy` and what is beside it are the served form's where that was evaluated.

    Args:
        lookup: what the registry said of the champion, for where there is none.
        judged: what the judge said, where the limits name one.

    Raises:
        StepError: the evaluation has no rows, or a figure is missing or no usable number.
    """
    table = rules(evaluation, limits, lookup, judged)
    path = served.figures(evaluation)
    after, failed = value(evaluation, f"{path}after"), [rule.name for rule in table if rule.verdict == "fail"]
    decision = "fail" if failed else "pass"
    facts = _of_champion(evaluation.get("champion")) | _of_answers(evaluation) | _of_served(evaluation)
    return {
        "decision": decision,
        "message": _message(table, failed),
        "summary": _summary(decision, failed, after, limits, facts),
        "rules": [asdict(rule) for rule in table],
        "reward_accuracy": after["reward_accuracy"],
        "reward_accuracy_before": value(evaluation, f"{path}before.reward_accuracy"),
        "reward_accuracy_trained": number(evaluation, "after.reward_accuracy"),
        "threshold": limits.threshold,
        "rows": after["rows"],
        "ties": after["ties"],
        "champion_tolerance": limits.tolerance,
        "judge": judged.as_dict() if judged else None,
        **facts,
    }


def _message(table: Sequence[Rule], failed: Sequence[str]) -> str:
    told: list[str] = []
    if len(failed) > 1:
        told.append(f"{len(failed)} of {len(table)} rules failed: {', '.join(failed)}.")
    for rule in table:
        once = rule.reason not in told  # several rules may not be judged for one reason
        if once and (rule.verdict != "pass" or rule.name in ALWAYS_SAID):
            told.append(rule.reason)
    return " ".join(told)


def table_lines(table: Sequence[Mapping[str, Any]]) -> list[str]:
    """The rules as a table of plain text, with a heading."""
    rows = [("rule", "figure", "limit", "verdict")]
    rows += [
        (rule["name"], "-" if rule["figure"] is None else f"{rule['figure']:g}", f"{rule['limit']:g}", rule["verdict"])
        for rule in table
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _of_champion(compared: Mapping[str, Any] | None) -> dict[str, str]:
    facts = {
        "champion": NONE,
        "champion_reward_accuracy": NONE,
        "champion_candidate_reward_accuracy": NONE,
        "champion_difference": NONE,
    }
    if not compared:
        return facts
    facts["champion"] = str(compared["version"] or "unknown")
    if not compared["compared"]:
        return facts
    champion, candidate = (compared[side]["reward_accuracy"] for side in ("champion", "candidate"))
    return facts | {
        "champion_reward_accuracy": f"{champion:.4f}",
        "champion_candidate_reward_accuracy": f"{candidate:.4f}",
        "champion_difference": f"{candidate - champion:+.4f}",
    }


def _of_answers(evaluation: Mapping[str, Any]) -> dict[str, str]:
    """Share of the questions with tools that were answered as the chosen answer does."""
    found = {"calls": NONE, "calls_before": NONE}
    section = evaluation.get("answers") or {}
    if section.get("judged"):
        for name, side in (("calls", "after"), ("calls_before", "before")):
            if section[side]["calls"]:
                found[name] = f"{section[side]['calls']['share']:.4f}"
    return found


def _of_served(evaluation: Mapping[str, Any]) -> dict[str, str]:
    """In which form the model was judged, and what share of the rows changes sides between the two."""
    if not served.is_served(evaluation):
        return {"form": "trained", "served_drift": NONE}
    same = value(evaluation, "served.same")
    return {
        "form": "served",
        "served_drift": f"{0.0 if same else value(evaluation, 'served.drift.share_changed'):.4f}",
    }


def _summary(
    decision: str, failed: Sequence[str], after: Mapping[str, Any], limits: Limits, facts: Mapping[str, str]
) -> str:
    """Parts in the order of their weight, as many as there is room for."""
    said = f"{decision}{' ' + ' '.join(failed) if failed else ''}"
    parts = [
        f"{said}: reward accuracy {after['reward_accuracy']:.4f} threshold {limits.threshold:g} rows {after['rows']}"
    ]
    if facts["champion_difference"] == NONE:
        parts.append("champion not compared")
    else:
        parts.append(
            f"champion version {facts['champion']} has {facts['champion_reward_accuracy']} "
            f"difference {facts['champion_difference']} tolerance {limits.tolerance:g}"
        )
    if facts["calls"] != NONE:
        parts.append(f"calls {facts['calls']} before {facts['calls_before']}")
    if facts["served_drift"] != NONE:
        parts.append(f"served drift {facts['served_drift']}")
    while len(" ".join(parts)) > LONGEST_SUMMARY:
        parts.pop()
    return " ".join(parts)
