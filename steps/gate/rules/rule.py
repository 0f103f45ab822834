"""A rule's verdict, and how rules read an evaluation: what is missing or no number is named by its path."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from steps.shared.contract import StepError

Verdict = Literal["pass", "fail", "not judged"]
QUOTED = 300  # characters of a reason that others wrote: one message holds all rules, and a Fail step takes 3072


@dataclass(frozen=True)
class Rule:
    """One row of the gate's table.

    Attributes:
        figure: what was compared with the limit; None where there was nothing to compare.
        limit: the least that passes; of `served_drift`, `chosen_drop`, `degenerate` and `reversed` the most.
        reason: the verdict in a sentence, with its numbers.
    """

    name: str
    figure: float | None
    limit: float
    verdict: Verdict
    reason: str


def value(evaluation: Mapping[str, Any], path: str) -> Any:
    """What stands at a path of keys, `served.drift.rows`.

    Raises:
        StepError: there is no such key.
    """
    found: Any = evaluation
    for key in path.split("."):
        if not isinstance(found, Mapping) or key not in found:
            raise StepError(f"evaluation.json: {path} is missing; it is not what this version's training writes")
        found = found[key]
    return found


def number(evaluation: Mapping[str, Any], path: str) -> float:
    """A finite number at a path.

    Raises:
        StepError: there is none.
    """
    found = value(evaluation, path)
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise StepError(f"evaluation.json: {path} is {quoted(found)}, which is no number that can be judged")
    return found


def number_or_none(evaluation: Mapping[str, Any], path: str) -> float | None:
    """The same, where null stands for a figure that is not defined."""
    return None if value(evaluation, path) is None else number(evaluation, path)


def quoted(words: object) -> str:
    """A reason from elsewhere as part of a sentence, so that it cannot push the others out of the message."""
    text = " ".join(str(words).split()).rstrip(".")
    return text if len(text) <= QUOTED else f"{text[: QUOTED - 1]}…"
