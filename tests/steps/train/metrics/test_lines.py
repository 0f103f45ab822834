"""What training prints is what the metric definitions of the pipeline read."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from steps.train.metrics.lines import DEFINITIONS, NAMES, line, rename

FIGURES = {name: 0.5 + index for index, name in enumerate(NAMES.values())}


def read(text: str) -> dict[str, float]:
    found = {entry["Name"]: re.search(entry["Regex"], text) for entry in DEFINITIONS}
    return {name: float(match.group(1)) for name, match in found.items() if match}


def test_every_definition_reads_its_own_figure() -> None:
    figures = read(line(12, 150, FIGURES))
    assert figures.pop("train:step") == 12 and figures.pop("train:max_steps") == 150
    expected = {
        (f"eval:{name[5:]}" if name.startswith("eval_") else f"train:{name}"): value
        for name, value in FIGURES.items()
        if name != "seconds"
    }
    assert figures == expected


@given(st.floats(allow_nan=False, width=32))
def test_any_number_is_read_back(value: float) -> None:
    assert read(line(1, 2, {"loss": value}))["train:loss"] == float(f"{value:.6g}")


def test_the_loss_of_training_is_not_taken_from_an_evaluation_line() -> None:
    assert "train:loss" not in read(line(3, 3, rename({"eval_loss": 0.4})))


def test_the_api_takes_the_definitions() -> None:
    assert len(DEFINITIONS) <= 40 and all(len(entry["Regex"]) <= 500 for entry in DEFINITIONS)
