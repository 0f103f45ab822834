"""Held-out figures, with their arithmetic shown."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.train.evaluation import RowMargin, summarise


def row(margin: float) -> RowMargin:
    return RowMargin("id", chosen=margin - 3.0, rejected=-2.0, reference_chosen=-3.0, reference_rejected=-2.0)


def test_a_model_that_equals_its_reference_ties_everywhere() -> None:
    result = summarise([row(0.0)] * 4, beta=0.1)
    assert (result.ties, result.reward_accuracy, result.reward_margin) == (4, 0.5, 0.0)
    assert result.loss == pytest.approx(math.log(2))


def test_accuracy_counts_each_row_once_and_a_tie_as_half() -> None:
    # margins 2, -1, 0, 4 at beta 0.5: rewards 1, -0.5, 0, 2; two wins and one tie of four rows
    result = summarise([row(2.0), row(-1.0), row(0.0), row(4.0)], beta=0.5)
    assert (result.rows, result.ties, result.reward_accuracy) == (4, 1, 0.625)
    assert result.reward_margin == pytest.approx((1 - 0.5 + 0 + 2) / 4)
    losses = [-math.log(1 / (1 + math.exp(-reward))) for reward in (1, -0.5, 0, 2)]
    assert result.loss == pytest.approx(sum(losses) / 4)


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=20), st.floats(0.01, 2))
def test_figures_are_finite_and_in_range_for_any_margins(margins: list[float], beta: float) -> None:
    result = summarise([row(margin) for margin in margins], beta)
    assert 0 <= result.reward_accuracy <= 1
    assert math.isfinite(result.loss) and result.loss >= 0
