"""Feedback's pairs beside the other data of a run: alike they are stable, other lengths and tools are told."""

from __future__ import annotations

import numpy as np
import pytest

from steps.preprocess.report import feedback
from steps.preprocess.report.drift import SHIFTED
from steps.preprocess.report.figures import Figures
from steps.preprocess.shards.shard import FROM_FEEDBACK, HAS_TOOLS, INDEX


def rows(count: int, scale: float, flags: int, seed: int) -> np.ndarray:
    index = np.zeros(count, INDEX)
    index["characters"] = scale * np.random.default_rng(seed).lognormal(5.5, 0.8, (count, 3)) + 1
    index["flags"] = flags
    return index


def compared(*parts: np.ndarray) -> dict | None:
    figures = Figures()
    for part in parts:
        figures.add(part, ("characters",))
    return feedback.compare(figures, ("characters",))


def test_pairs_of_the_same_kind_are_no_warning() -> None:
    found = compared(rows(900, 1, HAS_TOOLS, 1), rows(200, 1, HAS_TOOLS | FROM_FEEDBACK, 2))
    assert found["rows"] == {"feedback": 200, "others": 900} and found["warnings"] == []
    assert found["with_tools"] == [1.0, 1.0]
    assert found["lengths"]["characters"]["pair"]["psi"] < SHIFTED


def test_other_lengths_and_tools_are_told_with_both_sides() -> None:
    found = compared(rows(900, 1, 0, 1), rows(200, 5, HAS_TOOLS | FROM_FEEDBACK, 2))
    given, said = found["lengths"]["characters"]["prompt"]["percentiles"]["50"]
    assert said > 3 * given
    lengths, *_, tools = found["warnings"]
    assert lengths.startswith(f"feedback's prompt lengths differ: median {said:,} characters, {given:,} in the other")
    assert tools == "100% of feedback's rows declare tools, 0% of the other data's"


@pytest.mark.parametrize("flags", [0, FROM_FEEDBACK])
def test_without_rows_on_both_sides_there_is_nothing_to_compare(flags: int) -> None:
    assert compared(rows(10, 1, flags, 1)) is None
