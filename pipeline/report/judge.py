"""What the page shows of the gate's judge: how often it preferred which answer, and some of what it said.

Reads gate.json's figures and judge.jsonl, whose lines have no answers: those are in answers.jsonl, by the row's id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.report.facts import Facts
from steps.shared.pages.template import pretty
from steps.train.results.spoken import asked

SHOWN = 8  # pairs on the page; the others are in the file
# A verdict of judge.jsonl: how it is coloured, and what it says; in the order in which examples are shown.
VERDICTS = {
    "base": ("bad", "lost"),
    "unreadable": ("warn", "no verdict"),
    "tie": ("", "tie"),
    "candidate": ("good", "won"),
}
CHOICES = {"A": "the first", "B": "the second", "C": "neither", None: "nothing readable"}


def judge(facts: Facts) -> dict[str, Any] | None:
    """The judge's figures and examples, lost pairs first; None where there was no judge."""
    found = (facts.left.gate or {}).get("judge")
    if not found:
        return None
    order = list(VERDICTS)
    lines = sorted(facts.left.judged, key=lambda line: (line["same"], order.index(line["verdict"])))  # stable
    answers = {row["id"]: row for row in facts.left.answers}
    return {
        "judge": found,
        "equal": sum(line["same"] for line in lines),
        "examples": [_example(line, answers.get(line["id"])) for line in lines[:SHOWN]],
        "lines": len(lines),
    }


def _example(line: Mapping[str, Any], row: Mapping[str, Any] | None) -> dict[str, Any]:
    style, verdict = VERDICTS[line["verdict"]]
    sides = (("candidate", "This model"), ("base", "Base"))
    return {
        "id": line["id"],
        "style": style,
        "verdict": "tie: the same answer" if line["same"] else verdict,
        "asked": asked(row["prompt"]) if row else "",
        "answers": [(name, title, pretty(row["answers"][name]["text"])) for name, title in sides] if row else [],
        "said": [_said(one) for one in line["said"]],
    }


def _said(one: Mapping[str, Any]) -> tuple[str, str]:
    """In which order it was asked with what it chose, and its own words."""
    first = "this model's answer first" if one["candidate"] == "A" else "the base's answer first"
    return f"Asked with {first}, it chose {CHOICES[one['choice']]}", pretty(one["text"])
