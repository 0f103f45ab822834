"""What a person reads of a training run: training.png (its curves) and report.html, which stands alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps.contract import write_text
from steps.records import Record
from steps.train import curves, page
from steps.train.data import Left

PICTURE, PAGE = "training.png", "report.html"


@dataclass(frozen=True)
class Sources:
    """Where the rows of a run come from: the held-out records, and of each split the rows cut or left out."""

    held_out: Sequence[Record]
    left: Mapping[str, Left]


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
