"""The lines of a summary about the form that is served and about what the model writes, or why neither was judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Line = tuple[str, str]


def lines(served: Mapping[str, Any] | None, answers: Mapping[str, Any] | None) -> list[Line]:
    """
    Args:
        served, answers: the sections of evaluation.json; None where an older training left none.
    """
    return [*_served(served), *_answers(answers)]


def _served(section: Mapping[str, Any] | None) -> list[Line]:
    if not section:
        return []
    if not section["evaluated"]:
        return [("as served", f"not evaluated: {section['reason']}")]
    if section.get("same"):
        return [("as served", "the same: it was trained in the form that is served")]
    before, after, drift = section["before"], section["after"], section["drift"]
    accuracy = f"reward accuracy {before['reward_accuracy']:.3f} -> {after['reward_accuracy']:.3f}"
    changed = f"{drift['rows_changed']} of {drift['rows']} rows change sides"
    return [("as served", f"{accuracy}; {changed}")]


def _answers(section: Mapping[str, Any] | None) -> list[Line]:
    if not section:
        return []
    if not section["judged"]:
        return [("answers", f"not judged: {section['reason']}")]
    before, after = section["before"], section["after"]
    degenerate = _change(before["form"]["degenerate"], after["form"]["degenerate"])
    found = [("degenerate", f"{degenerate} of {after['form']['rows']} answers")]
    if before["calls"] and after["calls"]:
        right = f"{_change(before['calls'], after['calls'])} of {after['calls']['rows']} prompts with tools"
        return [("calls right", right), *found]
    return [("calls right", f"not judged: {section['parser_reason'] or 'no prompt declares tools'}"), *found]


def _change(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    return " -> ".join("-" if part["share"] is None else f"{part['share']:.3f}" for part in (before, after))
