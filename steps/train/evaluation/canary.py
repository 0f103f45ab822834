"""The canary set's figures: held-out rows that are the same in every run, and by which runs compare.

In the form that the gate judges: as served, where that was evaluated. The champion's are in its own section.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from typing import Any

from steps.shared.records import Record
from steps.train.evaluation.figures import RowMargin, summarise

FIGURES = ("rows", "ties", "reward_accuracy", "reward_accuracy_low", "reward_accuracy_high", "loss", "reward_margin")


def ids(records: Iterable[Record]) -> frozenset[str]:
    """The rows of the canary set."""
    return frozenset(record.id for record in records if record.of_canary)


def section(margins: Sequence[RowMargin], canaries: Set[str], beta: float) -> dict[str, Any] | None:
    """The section `canary` of evaluation.json; None where no row of the set could be used."""
    rows = [row for row in margins if row.id in canaries]
    if not rows:
        return None
    found = summarise(rows, beta)
    return {name: getattr(found, name) for name in FIGURES}
