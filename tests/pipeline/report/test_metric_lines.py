"""The history of a training from its log."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.metric_lines import history
from steps.train.metrics.lines import PREFIX
from tests.pipeline.report.made import LOG


def test_lines_of_metrics_become_entries_and_others_are_passed_over() -> None:
    assert history(["loading", *LOG]) == [
        {"step": 0.0, "epoch": 0.0, "eval_loss": 0.693147, "eval_reward_accuracy": 0.5},
        {"step": 5.0, "loss": 0.66, "reward_accuracy": 0.4875, "grad_norm": None},
        {"step": 10.0, "loss": 0.5, "reward_accuracy": 0.6, "grad_norm": 0.01},
    ]
    assert all(PREFIX in line for line in LOG[:3])


@given(st.lists(st.text()))
def test_any_text_can_stand_in_a_log(lines: list[str]) -> None:
    for entry in history([f"{PREFIX} step=3 {line}" for line in lines]):
        assert "step" in entry


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 10**6))
def test_a_figure_is_read_as_the_training_writes_it(value: float, step: int) -> None:
    (entry,) = history([f"{PREFIX} step={step}/10 loss={value:g} epoch=1"])
    assert entry["step"] == step and entry["loss"] == float(f"{value:g}") and entry["epoch"] == 1
