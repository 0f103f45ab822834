"""report.json as one HTML page: what a reader wants to know of a run, in the order in which they ask.

What the page says is decided here and in plots.py; how it looks, in report.html.jinja and what the pages of all steps
share (steps/shared/pages). Reads the report of this version only.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steps.preprocess.report import drift, plots, quarantine
from steps.preprocess.report.distribution import CHARACTERS_PER_TOKEN, PERCENTILES
from steps.shared.pages.template import load, some_turns

if TYPE_CHECKING:
    import jinja2

FILES, OTHER_FILES, UNREAD = 50, 200, 100  # listed
BIASED = 1.5  # times the median length of the other answer
FEW = 20  # rows, whose medians tell nothing
PARTS = {
    "prompt": "Prompt",
    "chosen": "Chosen answer",
    "rejected": "Rejected answer",
    "pair": "Prompt and longer answer",
}
FAULTS = {"undeclared": "calls a tool that is not declared", "arguments": "gets a tool's arguments wrong",
          "malformed": "is not well-formed"}  # fmt: skip
SETTINGS = {
    "validation_fraction": "share of the prompts that is held out",
    "validation_data": "the set that is held out instead",
    "min_validation_rows": "fewest rows to judge a model by",
    "max_invalid_fraction": "share of invalid rows beyond which the run fails",
    "format": "layout of all files; otherwise told from their rows",
    "columns": "the names of the fields in the files",
    "ignore_fields": "fields that mean nothing to the pairs",
    "pairs": "which pairs a list of scored answers becomes",
    "min_score_difference": "answers whose scores differ by less are a tie",
    "max_pairs": "most pairs of one list",
    "tool_calls": "what becomes of rows whose chosen answer calls tools wrongly",
    "near_duplicates": "similarity from which a prompt is left out",
    "tokenizer": "counts the tokens, with its chat template",
    "max_tokens": "longer rows are quarantined",
    "max_characters": "longer rows are quarantined",
}


def render(report: Mapping[str, Any]) -> str:
    """The page of a report, as the module describes it."""
    counted = {unit: parts for unit, parts in report["lengths"].items() if parts and parts["pair"]["count"]}
    units = [unit for unit in ("tokens", "characters") if unit in counted]
    return _template().render(
        report=report,
        rows=report["rows"],
        problem=quarantine.problem(report),
        sides=quarantine.SIDES,
        reasons=quarantine.reasons(report),
        lengths=[_lengths(counted[unit], unit) for unit in units],
        answers=_answers(counted[units[0]], units[0]) if units else None,
        formats=_ranked(report["formats"]),
        files=_ranked(report["files"]),
        unread=_unread(report),
        called=_ranked(report["tools"]["called"]),
        faults=FAULTS,
        samples=_samples(report),
        drift=_drift(report) if report["baseline"] else None,
        of_feedback=_of_feedback(report),
        settings=SETTINGS,
    )


@cache
def _template() -> jinja2.Template:
    return load(
        Path(__file__).parent,
        "report.html.jinja",
        {
            "BIASED": BIASED,
            "FILES": FILES,
            "OTHER_FILES": OTHER_FILES,
            "UNREAD": UNREAD,
            "CHARACTERS_PER_TOKEN": CHARACTERS_PER_TOKEN,
            "PERCENTILES": PERCENTILES,
            "UNSTABLE": drift.UNSTABLE,
            "SHIFTED": drift.SHIFTED,
        },
    )


def _unread(report: Mapping[str, Any]) -> list[tuple[str, str, int, str]]:
    """File, field, rows and example of what nothing reads, the most frequent first."""
    found = [
        (file, place, value["rows"], value["example"])
        for file, places in report["unread"].items()
        for place, value in places.items()
    ]
    return sorted(found, key=lambda entry: (-entry[2], entry[:2]))


def _lengths(of_unit: Mapping[str, Any], unit: str) -> dict[str, Any]:
    """The plots of one unit, on one axis so that the eye can compare them."""
    axis = plots.Axis.over(of_unit[part]["histogram"] for part in PARTS)
    parts = {
        part: {"title": title, "lengths": of_unit[part], "plot": plots.histogram(of_unit[part], axis, unit)}
        for part, title in PARTS.items()
    }
    return {"unit": unit, "parts": parts}


def _answers(of_unit: Mapping[str, Any], unit: str) -> dict[str, Any]:
    """Chosen compared with rejected answers: where one side is longer, DPO may learn length instead of quality."""
    chosen, rejected = of_unit["chosen"], of_unit["rejected"]
    medians = chosen["percentiles"]["50"], rejected["percentiles"]["50"]
    shorter, longer = sorted(medians)
    return {
        "unit": unit,
        "plot": plots.two_histograms(chosen["histogram"], rejected["histogram"], unit),
        "chosen": chosen,
        "rejected": rejected,
        "medians": medians,
        "longer": "chosen" if medians[0] > medians[1] else "rejected",
        "times": f"{longer / max(shorter, 1):.1f}",
        "biased": longer > BIASED * shorter,
        "few": chosen["count"] < FEW,
    }


def _ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """The largest first."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _samples(report: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The rows that are shown, that of the most frequent layout first."""
    counts = report["formats"]
    found = sorted(report["samples"].items(), key=lambda item: (-counts.get(item[0], 0), item[0]))
    sides = ("prompt", "chosen", "rejected")
    return {layout: {**sample, "turns": {side: some_turns(sample[side]) for side in sides}} for layout, sample in found}


def _drift(report: Mapping[str, Any]) -> dict[str, Any]:
    """The comparison with a baseline, with its plots."""
    found = report["baseline"]
    lengths: dict[str, list[dict[str, Any]]] = {}
    for unit in ("tokens", "characters"):
        for part in (part for part in PARTS if part in found["lengths"].get(unit, {})):
            changed = found["lengths"][unit][part]
            now = report["lengths"][unit][part]["histogram"]
            plot = plots.two_histograms(now, changed["baseline_histogram"], unit)
            verdict = _verdict(changed["psi"], changed["chance"])
            lengths.setdefault(unit, []).append({**changed, "title": PARTS[part], "plot": plot, "verdict": verdict})
    return {**found, "lengths": lengths}


def _of_feedback(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """Feedback's pairs beside the other data, by the first unit."""
    found = report.get("feedback_drift")
    if not found:
        return None
    unit, parts = next(iter(found["lengths"].items()))
    lengths = [{**parts[part], "title": PARTS[part], "verdict": _verdict(parts[part]["psi"], parts[part]["chance"])}
               for part in PARTS]  # fmt: skip
    return {**found, "unit": unit, "lengths": lengths}


def _verdict(psi: float, chance: float) -> str:
    if psi > max(drift.SHIFTED, chance):
        return "shifted"
    if psi > max(drift.UNSTABLE, chance):
        return "moved a little"
    return "stable"
