"""Held-out figures, with their arithmetic shown."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.train.evaluation.figures import (
    Evaluation,
    Figures,
    RowMargin,
    model_quality,
    rank_correlation,
    summarise,
)


def row(margin: float, **other: Any) -> RowMargin:
    """A row whose chosen answer has gained `margin` nats and whose rejected one has not moved."""
    facts = {"chosen_tokens": 5, "rejected_tokens": 5, "format": "chat", "with_tools": False}
    return RowMargin(
        "id", chosen=margin - 3.0, rejected=-2.0, reference_chosen=-3.0, reference_rejected=-2.0, **facts | other
    )


def test_a_model_that_equals_its_reference_ties_everywhere() -> None:
    result = summarise([row(0.0)] * 4, beta=0.1)
    assert (result.ties, result.reward_accuracy, result.reward_margin) == (4, 0.5, 0.0)
    assert result.loss == pytest.approx(math.log(2))
    assert (result.drift_chosen, result.drift_rejected) == (0, 0)


def test_accuracy_counts_each_row_once_and_a_tie_as_half() -> None:
    # margins 2, -1, 0, 4 at beta 0.5: rewards 1, -0.5, 0, 2; two wins and one tie of four rows
    result = summarise([row(2.0), row(-1.0), row(0.0), row(4.0)], beta=0.5)
    assert (result.rows, result.ties, result.reward_accuracy) == (4, 1, 0.625)
    assert result.reward_margin == pytest.approx((1 - 0.5 + 0 + 2) / 4)
    losses = [-math.log(1 / (1 + math.exp(-reward))) for reward in (1, -0.5, 0, 2)]
    assert result.loss == pytest.approx(sum(losses) / 4)


def test_drift_is_the_mean_log_ratio_of_a_row_and_of_a_token() -> None:
    one = RowMargin("a", -10, -20, -12, -16, chosen_tokens=4, rejected_tokens=8, format="chat", with_tools=False)
    other = RowMargin("b", -30, -40, -29, -32, chosen_tokens=6, rejected_tokens=2, format="chat", with_tools=False)
    result = summarise([one, other], beta=0.1)
    # chosen: +2 and -1 over 4 + 6 tokens; rejected: -4 and -8 over 8 + 2 tokens
    assert (result.drift_chosen, result.drift_rejected) == (0.5, -6)
    assert result.drift_chosen_per_token == pytest.approx(0.1)
    assert result.drift_rejected_per_token == pytest.approx(-1.2)


def test_length_bias_sets_what_the_policy_prefers_against_what_the_data_does() -> None:
    rows = [
        row(2.0, chosen_tokens=9),  # the longer is chosen and preferred
        row(1.0, chosen_tokens=2),  # the shorter is chosen and preferred
        row(-1.0, chosen_tokens=3),  # the shorter is chosen, the longer preferred
        row(0.0, chosen_tokens=7),  # the longer is chosen, neither preferred
        row(5.0),  # as long as the other
    ]
    result = summarise(rows, beta=0.1)
    assert result.unequal_lengths == 4
    assert result.longer_is_chosen == 2 / 4
    assert result.longer_is_preferred == (1 + 0 + 1 + 0.5) / 4
    # ranks of +4, -3, -2, +2, 0: 5 1 2 4 3; of 2, 1, -1, 0, 5: 4 3 1 2 5; 1 - 6 * (1 + 4 + 1 + 4 + 4) / (5 * 24)
    assert result.length_margin_correlation == pytest.approx(1 - 6 * 14 / 120)


def test_what_is_not_defined_is_null() -> None:
    result = summarise([row(1.0), row(2.0)], beta=0.1)  # no answer is longer than its other
    assert (result.unequal_lengths, result.longer_is_chosen, result.longer_is_preferred) == (0, None, None)
    assert result.length_margin_correlation is None
    assert summarise([row(1.0, chosen_tokens=0)], beta=0.1).drift_chosen_per_token is None


def test_equal_values_share_their_mean_rank() -> None:
    # ranks 1.5 1.5 3 and 1 2 3: deviations -.5 -.5 1 and -1 0 1; 1.5 / sqrt(1.5 * 2)
    assert rank_correlation([7, 7, 9], [1, 2, 3]) == pytest.approx(1.5 / math.sqrt(3))
    assert rank_correlation([1, 2, 3], [9, 8, -100]) == -1
    assert rank_correlation([1, 1], [1, 2]) is None
    assert rank_correlation([1], [1]) is None


def test_the_file_holds_the_accuracy_in_sagemakers_form() -> None:
    figures = summarise([row(1.0), row(1.0), row(1.0), row(-1.0)], beta=0.1)
    assert model_quality(figures) == {"accuracy": {"value": 0.75, "standard_deviation": math.sqrt(0.75 * 0.25 / 4)}}


SUMS = st.floats(-1e4, 0)
ROWS = st.lists(
    st.builds(
        RowMargin,
        id=st.just("id"),
        chosen=SUMS,
        rejected=SUMS,
        reference_chosen=SUMS,
        reference_rejected=SUMS,
        chosen_tokens=st.integers(0, 50),
        rejected_tokens=st.integers(0, 50),
        format=st.sampled_from(["chat", "hh", "a <b>"]),
        with_tools=st.booleans(),
    ),
    min_size=1,
    max_size=30,
)


@given(ROWS, st.floats(0.01, 2))
def test_the_slices_of_each_kind_add_up_to_the_whole(rows: list[RowMargin], beta: float) -> None:
    whole = summarise(rows, beta)
    assert set(whole.slices) == {"format", "tools"}
    for parts in whole.slices.values():
        for count in ("rows", "ties", "unequal_lengths"):
            assert sum(getattr(part, count) for part in parts.values()) == getattr(whole, count)
        for mean in ("loss", "reward_accuracy", "reward_margin", "drift_chosen", "drift_rejected"):
            sums = [part.rows * getattr(part, mean) for part in parts.values()]
            assert math.fsum(sums) / whole.rows == pytest.approx(getattr(whole, mean), rel=1e-6, abs=1e-6)
        for share in ("longer_is_chosen", "longer_is_preferred"):
            sums = [part.unequal_lengths * (getattr(part, share) or 0) for part in parts.values()]
            assert math.fsum(sums) == pytest.approx((getattr(whole, share) or 0) * whole.unequal_lengths)


@given(ROWS, st.floats(0.01, 2))
def test_figures_are_in_range_and_outlive_a_checkpoint(rows: list[RowMargin], beta: float) -> None:
    result = summarise(rows, beta)
    saved = json.dumps(result.as_dict(), allow_nan=False)  # raises where a figure is no number
    assert Evaluation.from_dict(json.loads(saved)) == result
    every: list[Figures] = [result, *(part for parts in result.slices.values() for part in parts.values())]
    for figures in every:
        assert 0 <= figures.reward_accuracy_low <= figures.reward_accuracy <= figures.reward_accuracy_high <= 1
        assert figures.loss >= 0
        correlation = figures.length_margin_correlation
        assert correlation is None or -1 <= correlation <= 1
