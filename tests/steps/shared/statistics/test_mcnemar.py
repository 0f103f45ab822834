"""McNemar's exact test against values worked out by hand and by other means."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.shared.statistics.mcnemar import mcnemar


def test_the_probability_is_the_binomials() -> None:
    # 9 wins, 2 losses: P(X <= 2) = (1 + 11 + 55) / 2^11; P(X <= 9) = 1 - (11 + 1) / 2^11
    found = mcnemar(9, 2)
    assert found.p == pytest.approx(2 * 67 / 2048)
    assert found.p_worse == pytest.approx(1 - 12 / 2048)


def test_a_model_that_loses_only_is_worse() -> None:
    # 0 wins, 5 losses: 1 / 2^5
    assert mcnemar(0, 5).p_worse == 1 / 32
    assert mcnemar(0, 5).p == 2 / 32
    assert mcnemar(0, 4).p_worse > 0.05


def test_rows_on_which_none_differs_say_nothing() -> None:
    assert mcnemar(0, 0).p == 1
    assert mcnemar(0, 0).p_worse == 1


def test_as_many_wins_as_losses_are_no_difference() -> None:
    assert mcnemar(7, 7).p == 1
    assert mcnemar(7, 7).p_worse == pytest.approx((1 + math.comb(14, 7) / 2**14) / 2)


def test_thousands_of_rows_neither_overflow_nor_lose_digits() -> None:
    # The normal's tail with a continuity correction: z = (2450.5 - 2500) / sqrt(1250)
    expected = math.erfc(49.5 / math.sqrt(1250) / math.sqrt(2)) / 2
    assert mcnemar(2450, 2550).p_worse == pytest.approx(expected, rel=1e-3)
    assert mcnemar(0, 5000).p == 0
    assert mcnemar(5000, 0).p_worse == 1


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="-1 wins and 3 losses"):
        mcnemar(-1, 3)


@given(st.integers(0, 300), st.integers(0, 300))
def test_it_agrees_with_the_sum_of_the_binomial_and_with_itself(wins: int, losses: int) -> None:
    found, turned, count = mcnemar(wins, losses), mcnemar(losses, wins), wins + losses
    below = sum(math.comb(count, k) for k in range(wins + 1)) / 2**count
    assert found.p_worse == below
    assert 0 <= found.p <= 1
    assert found.p == turned.p
    # Of both tails, what was seen itself is in each.
    assert found.p_worse + turned.p_worse == pytest.approx(1 + math.comb(count, wins) / 2**count)
    assert found.p == pytest.approx(min(1, 2 * min(found.p_worse, turned.p_worse)))
