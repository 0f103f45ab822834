"""Two models on the same rows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.train.evaluation.paired import pair

MARGINS = st.lists(st.tuples(*[st.sampled_from([-2.0, 0.0, 1.0])] * 2), min_size=1, max_size=60)


def test_a_row_is_won_by_the_higher_score_and_a_tie_is_half_a_right_one() -> None:
    # scores 1, 1, 1/2, 0, 0 against 0, 1, 0, 1/2, 0
    found = pair([2.0, 0.1, 0.0, -1.0, -1.0], [-1.0, 5.0, -3.0, 0.0, -2.0])
    assert (found.wins, found.losses, found.ties) == (2, 1, 2)
    assert found.difference == pytest.approx((1 + 0 + 0.5 - 0.5 + 0) / 5)


@given(MARGINS)
def test_the_figures_agree_with_each_other_whichever_model_is_first(rows: list[tuple[float, float]]) -> None:
    first, second = ([row[at] for row in rows] for at in (0, 1))
    found, turned = pair(first, second), pair(second, first)
    assert found.wins + found.losses + found.ties == len(rows)
    scores = [sum(0.5 if margin == 0 else margin > 0 for margin in side) / len(rows) for side in (first, second)]
    assert found.difference == pytest.approx(scores[0] - scores[1])
    assert -1 <= found.difference_low <= found.difference <= found.difference_high <= 1
    assert found.difference_low < found.difference_high
    assert (turned.wins, turned.losses) == (found.losses, found.wins)
    assert turned.difference == pytest.approx(-found.difference)
    assert turned.difference_low == pytest.approx(-found.difference_high)
