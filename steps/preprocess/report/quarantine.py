"""What became of the rows that were read, as the pages say it: whether they are fit to train on, and why some are not.

Needs the standard library and the pages' shared parts only, so that the page of an execution can be drawn where no rows
are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steps.preprocess.rows.reasons import NOT_INVALID, Reason
from steps.shared.pages.template import number, share

SIDES = {"train": "to train on", "validation": "held out", "duplicate": "seen before", "quarantined": "set aside"}


def problem(report: Mapping[str, Any]) -> tuple[str, str] | None:
    """Why the data is not fit to train on, by the rules of Report.problem, and what fixes it; None where it is fit."""
    rows, counts = report["rows"], report["reasons"]
    if not rows["read"]:
        return "There is no row in the data", "Give a file that has some."
    invalid = rows["quarantined"] - sum(counts.get(reason, 0) for reason in NOT_INVALID)
    allowed = report["max_invalid_fraction"]
    if invalid > allowed * rows["read"]:
        part = f"{number(invalid)} of {number(rows['read'])} rows ({share(invalid, rows['read'])}) are invalid"
        return f"{part}, where {share(allowed)} may be", "Fix what is named below, or raise max_invalid_fraction."
    for side in ("train", "validation"):
        if not rows[side]:
            return f"No row is left for {side}", "Add rows, or change what is held out."
    if rows["validation"] < (least := report["min_validation_rows"]):
        few = f"{number(rows['validation'])} rows are held out, too few to judge a model by: {number(least)} are needed"
        return few, "Add rows, hold out a larger share, or lower min_validation_rows."
    return None


def reasons(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Why rows were set aside, the most frequent reason first, with what it means and some of its rows."""
    known = {str(reason): reason.meaning for reason in Reason}
    return [
        {
            "code": code,
            "count": count,
            "meaning": known.get(code),
            "asked": code in NOT_INVALID,
            "examples": report["examples"].get(code, []),
        }
        for code, count in sorted(report["reasons"].items(), key=lambda item: (-item[1], item[0]))
    ]
