"""The gate's verdict on an evaluation: a model passes where none of the rules fails.

Where there is no champion, or none that could be compared, the others decide, and the message says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from steps.gate.rules import Limits, Rule, rules

NONE = "none"
ALWAYS_SAID = ("accuracy", "champion")  # the other rules are told where they do not pass


def decide(evaluation: Mapping[str, Any], limits: Limits, lookup: str) -> dict[str, Any]:
    """The verdict with its numbers, under fixed keys; what is about the champion is text, `none` without one.

    `rules` is the whole table. `message` is for people and names every rule that failed. `summary` says the same in the
    letters and the length that a model package's metadata take (CustomerMetadataValue: letters, digits, spaces and
    _.:/=+-@, at most 256).

    Args:
        lookup: what the registry said of the champion, for where there is none.

    Raises:
        StepError: the evaluation has no rows or no usable number.
    """
    table = rules(evaluation, limits, lookup)
    after, failed = evaluation["after"], [rule.name for rule in table if rule.verdict == "fail"]
    decision = "fail" if failed else "pass"
    facts = _of_champion(evaluation.get("champion"))
    return {
        "decision": decision,
        "message": _message(table, failed),
        "summary": _summary(decision, failed, after, limits, facts),
        "rules": [asdict(rule) for rule in table],
        "reward_accuracy": after["reward_accuracy"],
        "reward_accuracy_before": evaluation["before"]["reward_accuracy"],
        "threshold": limits.threshold,
        "rows": after["rows"],
        "ties": after["ties"],
        "champion_tolerance": limits.tolerance,
        **facts,
    }


def _message(table: Sequence[Rule], failed: Sequence[str]) -> str:
    told = [rule.reason for rule in table if rule.verdict != "pass" or rule.name in ALWAYS_SAID]
    if len(failed) > 1:
        told.insert(0, f"{len(failed)} of {len(table)} rules failed: {', '.join(failed)}.")
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
    facts["champion"] = compared["version"] or "unknown"
    if not compared["compared"]:
        return facts
    champion, candidate = (compared[side]["reward_accuracy"] for side in ("champion", "candidate"))
    return facts | {
        "champion_reward_accuracy": f"{champion:.4f}",
        "champion_candidate_reward_accuracy": f"{candidate:.4f}",
        "champion_difference": f"{candidate - champion:+.4f}",
    }


def _summary(
    decision: str, failed: Sequence[str], after: Mapping[str, Any], limits: Limits, facts: Mapping[str, str]
) -> str:
    said = f"{decision}{' ' + ' '.join(failed) if failed else ''}"
    own = f"{said}: reward accuracy {after['reward_accuracy']:.4f} threshold {limits.threshold:g} rows {after['rows']}"
    if facts["champion_difference"] == NONE:
        return f"{own} champion not compared"
    return (
        f"{own} champion version {facts['champion']} has {facts['champion_reward_accuracy']} "
        f"difference {facts['champion_difference']} tolerance {limits.tolerance:g}"
    )
