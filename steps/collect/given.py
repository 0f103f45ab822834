"""How many rows the given data has, as Preprocess reads it: what a share of feedback is a share of."""

from __future__ import annotations

from pathlib import Path

from steps.preprocess.read.inputs import find_inputs
from steps.preprocess.read.sources import read_rows


def count_rows(path: Path) -> int:
    """Rows of every file, good or bad; raises StepError as Preprocess does where there are none to read."""
    return sum(1 for label, file in find_inputs(path).files for _ in read_rows(label, file))
