"""What a person reads of a training run: training.png (its curves) and report.html, which stands alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from steps.shared.contract import write_text
from steps.train.origin import Origin
from steps.train.results import curves, page

PICTURE, PAGE = "training.png", "report.html"


def write(
    folder: Path,
    evaluation: Mapping[str, Any],
    history: curves.History,
    arguments: Mapping[str, Any],
    origin: Origin,
    shares: Sequence[str],
    answers: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write both, each beside its place and then renamed.

    Args:
        shares: of the base's weights, in words.
        answers: the rows of answers.jsonl, where there are any.
    """
    curves.write_png(history, folder / PICTURE)
    places = {split: left.places for split, left in origin.left.items()}
    write_text(folder / PAGE, page.render(evaluation, history, arguments, places, origin.held_out, shares, answers))
