"""report.json: how many lines of each kind ended in which state, and how many pairs came of them by which rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps.collect.options import Options
from steps.collect.pairs import RULES
from steps.collect.states import CaptureState, FeedbackState
from steps.shared import contract


@dataclass(frozen=True)
class Report:
    """
    Attributes:
        captures: lines by their state.
        feedback: lines by their state.
        rules: kept pairs by the rule that made them.
        over_share: pairs left out by max_feedback_share.
        given_rows: rows of the given data, where they were counted.
        redacted: what was taken out, by pattern.
    """

    captures: Counter[Any]
    feedback: Counter[Any]
    rules: Counter[str]
    over_share: int
    given_rows: int | None
    redacted: Mapping[str, int]
    options: Options

    @property
    def pairs(self) -> int:
        return sum(self.rules.values())

    def as_json(self) -> dict[str, Any]:
        return {
            "captures": {"lines": sum(self.captures.values()), **_all(CaptureState, self.captures)},
            "feedback": {"lines": sum(self.feedback.values()), **_all(FeedbackState, self.feedback)},
            "pairs": {
                "made": self.pairs + self.over_share,
                "over_share": self.over_share,
                "kept": self.pairs,
                "rules": {rule: self.rules[rule] for rule in RULES},
            },
            "given_rows": self.given_rows,
            "redacted": dict(sorted(self.redacted.items())),
            "options": {
                "max_feedback_share": self.options.max_feedback_share,
                "feedback_weight": self.options.feedback_weight,
                "max_age_days": self.options.max_age_days,
                "contradictions": self.options.contradictions,
                "max_per_person_and_day": self.options.max_per_person_and_day,
                "redact": list(self.options.redact),
                "redact_patterns": len(self.options.redact_patterns),
            },
        }

    def write(self, folder: Path) -> None:
        contract.write_json(folder / "report.json", self.as_json())

    def summary(self) -> str:
        """The accounting as lines of text."""
        made = ", ".join(f"{count} {rule}" for rule, count in self.rules.items()) or "none"
        lines = [
            f"captures  {sum(self.captures.values())}: {_told(CaptureState, self.captures)}",
            f"feedback  {sum(self.feedback.values())}: {_told(FeedbackState, self.feedback)}",
            f"pairs     {self.pairs}: {made}" + (f"; {self.over_share} over the share" if self.over_share else ""),
        ]
        if self.redacted:
            lines.append("redacted  " + ", ".join(f"{count} {name}" for name, count in sorted(self.redacted.items())))
        return "\n".join(lines)


def _all(states: Any, counts: Counter[Any]) -> dict[str, int]:
    return {state.value: counts[state] for state in states}


def _told(states: Any, counts: Counter[Any]) -> str:
    return ", ".join(f"{counts[state]} {state.value}" for state in states if counts[state]) or "none"
