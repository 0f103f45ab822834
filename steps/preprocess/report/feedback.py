"""How the pairs that people's feedback made differ from the other data of the same run: lengths, and rows with tools.

The measures are drift.py's, with the given data in the place of the earlier run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from steps.preprocess.report.drift import length_drift, shifted
from steps.preprocess.report.figures import PARTS, Figures

TOOLS_MOVED = 0.25  # of the share of rows that declare tools


def compare(figures: Figures, units: tuple[str, ...]) -> dict[str, Any] | None:
    """
    Returns:
        rows: feedback's, and the others; lengths: by unit and part percentiles of the others and of feedback, psi and
        chance; with_tools: the share of rows that declare tools, of the others and of feedback; warnings: a sentence
        for each notable difference. None where either side has no row.
    """
    said = figures.of_feedback["rows"]
    others = figures.train + figures.validation - said
    if not said or not others:
        return None
    lengths = {unit: {part: _lengths(figures, unit, part) for part in PARTS} for unit in units}
    tools = figures.of_feedback["tools"]
    found = {
        "rows": {"feedback": said, "others": others},
        "lengths": lengths,
        "with_tools": [round((figures.with_tools - tools) / others, 4), round(tools / said, 4)],
    }
    return {**found, "warnings": list(_warnings(found))}


def _lengths(figures: Figures, unit: str, part: str) -> dict[str, Any]:
    said, others = figures.beside_feedback(unit, part)
    drift = length_drift(said, others)
    return {name: drift[name] for name in ("percentiles", "psi", "chance")}


def _warnings(found: Mapping[str, Any]) -> Iterator[str]:
    for part, unit, (given, said), index in shifted(found["lengths"]):
        yield f"feedback's {part} lengths differ: median {said:,} {unit}, {given:,} in the other data ({index})"
    given, said = found["with_tools"]
    if abs(said - given) > TOOLS_MOVED:
        yield f"{said:.0%} of feedback's rows declare tools, {given:.0%} of the other data's"
