"""Curves of a training history: what is drawn, and where."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from steps.train.results import curves
from tests.pages.browser import Picture
from tests.steps.train import runs


def test_all_that_was_logged_is_drawn_and_nothing_else() -> None:
    found = {panel.title: [curve.name for curve in panel.curves] for panel in curves.panels(runs.run()["history"])}
    both = ["training", "held-out rows"]
    assert found == {
        "Training loss": ["training"],
        "Held-out loss": ["held-out rows"],
        "Implicit rewards": ["chosen", "rejected"],
        "Reward margin": both,
        "Reward accuracy": both,
        "Learning rate": ["training"],
        "Gradient norm": ["training"],
    }
    assert [panel.title for panel in curves.panels([{"step": 3, "loss": 0.5}])] == ["Training loss"]


def test_only_the_same_figure_of_other_rows_shares_an_axis() -> None:
    """The trained loss may be a mix (sigmoid and sft): beside the held-out sigmoid loss it would mislead."""
    for _, _, keys in curves.PANELS:
        assert len({key.removeprefix("eval_") for key in keys}) == 1 or keys == ("reward_chosen", "reward_rejected")
    losses = [keys for _, _, keys in curves.PANELS if {"loss", "eval_loss"} & set(keys)]
    assert losses == [("loss",), ("eval_loss",)]


def test_a_value_that_is_no_number_becomes_null_and_is_not_drawn() -> None:
    history = curves.finite([{"step": 1, "grad_norm": math.nan}, {"step": 2, "grad_norm": 1.5}])
    assert json.loads(json.dumps(history, allow_nan=False))[0] == {"step": 1, "grad_norm": None}
    (panel,) = curves.panels(history)
    assert panel.curves[0].points == [(2, 1.5)]


def test_a_curve_stands_where_its_values_are() -> None:
    (panel,) = curves.panels([{"step": 0, "loss": 1.0}, {"step": 5, "loss": 0.5}, {"step": 20, "loss": 0.0}])
    drawn = curves.drawing(panel)
    assert drawn["curves"][0]["points"] == [(0, 0), (25, 50), (100, 100)]  # y grows downward
    assert [tick["text"] for tick in drawn["x_ticks"]] == ["0", "5", "10", "15", "20"]
    assert (drawn["y_ticks"][0]["text"], drawn["y_ticks"][0]["at"]) == ("0", 100)


def test_a_long_curve_is_thinned_but_ends_where_it_ends() -> None:
    (panel,) = curves.panels([{"step": step, "loss": step / 7} for step in range(1, 100_001)])
    points = curves.drawing(panel)["curves"][0]["points"]
    assert len(points) <= curves.POINTS + 1
    assert points[-1] == (100, 0)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20), st.booleans())
@example([2.3e-23], True)  # no whole number is on it
@example([0.0, 5e-324], False)
@example([1e9, 1e9 + 1e-6], False)
def test_every_value_and_tick_is_on_its_axis(values: list[float], whole: bool) -> None:
    axis = curves.Axis.over(values)
    for value in values:
        assert -0.001 <= axis.at(value) <= 100.001
    ticks = axis.ticks(whole=whole)
    assert len(ticks) <= 11
    assert all(-0.001 <= tick["at"] <= 100.001 for tick in ticks)


@pytest.mark.parametrize("make", [runs.ALL["sound"], runs.ALL["one_row"]], ids=["sound", "one_row"])
def test_the_picture_shows_something(make, tmp_path: Path) -> None:
    curves.write_png(make()["history"], tmp_path / "training.png")
    assert [path.name for path in tmp_path.iterdir()] == ["training.png"]
    seen = Picture.read(tmp_path / "training.png")
    assert seen.width == 1320 and seen.lines > 200
