"""Where a training run comes from, for its page and its cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from steps.shared.contract import StepError, read_json
from steps.shared.records import Record
from steps.train.model.coverage import Coverage
from steps.train.rows.tokenise import Left


@dataclass(frozen=True)
class Origin:
    """The rows, the data and the adapter that a run began with.

    Attributes:
        held_out: the held-out records.
        left: of each split the rows cut or left out.
        report: the Preprocess step's report of the data, where it is at hand.
        initial_adapter: the SHA-256 of the adapter that training continued from.
        reasoning: of each split the rows given of which an answer has reasoning.
        feedback: of each split the rows used that were made of what people said.
        reversed: how many pairs of feedback there were, and how many of them say the opposite of the given data.
        moment: what the chat template was told of the time; None where it does not ask.
        coverage: how much of the base the quantisation and the adapter reach.
    """

    held_out: Sequence[Record]
    left: Mapping[str, Left]
    report: Mapping[str, Any] | None = None
    initial_adapter: str | None = None
    moment: datetime | None = None
    reasoning: Mapping[str, int] = field(default_factory=dict)
    feedback: Mapping[str, int] = field(default_factory=dict)
    coverage: Coverage | None = None
    reversed: Mapping[str, int] = field(default_factory=dict)


def read_data_report(train_data: Path) -> dict[str, Any] | None:
    """The Preprocess step's report, beside the folder of training rows as a job's channel is too; None without.

    Raises:
        StepError: the file there is no such report.
    """
    file = train_data.parent / "report" / "report.json"
    if not file.is_file():
        return None
    found = read_json(file, "the report of the data")
    if not isinstance(found, dict) or not {"data_hash", "formats"} <= found.keys():
        raise StepError(f"{file}: is not what the Preprocess step writes: no data_hash or formats; run that step again")
    return found


def read_data_page(train_data: Path) -> str | None:
    """The same report as a page, where it lies beside."""
    file = train_data.parent / "report" / "report.html"
    return file.read_text(encoding="utf-8") if file.is_file() else None
