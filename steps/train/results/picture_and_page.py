"""What a person reads of a training run: training.png (its curves) and report.html, which stands alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps.shared.contract import StepError, read_json, write_text
from steps.shared.records import Record
from steps.train.results import curves, page
from steps.train.rows.tokenise import Left

PICTURE, PAGE = "training.png", "report.html"


@dataclass(frozen=True)
class Sources:
    """Where a run comes from.

    Attributes:
        held_out: the held-out records.
        left: of each split the rows cut or left out.
        report: the Preprocess step's report of the data, where it is at hand.
        initial_adapter: the SHA-256 of the adapter that training continued from.
    """

    held_out: Sequence[Record]
    left: Mapping[str, Left]
    report: Mapping[str, Any] | None = None
    initial_adapter: str | None = None


def of_data(train_data: Path) -> dict[str, Any] | None:
    """The Preprocess step's report, beside the folder of training rows as a job's channel is too; None without.

    Raises:
        StepError: what lies there is no such report.
    """
    file = train_data.parent / "report" / "report.json"
    if not file.is_file():
        return None
    found = read_json(file, "the report of the data")
    if not isinstance(found, dict) or not {"data_hash", "formats"} <= found.keys():
        raise StepError(f"{file}: is not what the Preprocess step writes: no data_hash or formats; run that step again")
    return found


def write(
    folder: Path,
    evaluation: Mapping[str, Any],
    history: curves.History,
    arguments: Mapping[str, Any],
    sources: Sources,
) -> None:
    """Write both, each beside its place and then renamed."""
    curves.write_png(history, folder / PICTURE)
    places = {split: left.places for split, left in sources.left.items()}
    write_text(folder / PAGE, page.render(evaluation, history, arguments, places, sources.held_out))
