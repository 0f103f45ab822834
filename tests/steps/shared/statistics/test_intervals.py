"""Intervals, with their arithmetic shown."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.shared.statistics.intervals import NORMAL_975, difference_interval, wilson_interval


def test_the_interval_is_wilsons() -> None:
    # z = 1.96: of 8 in 10, (0.8 + 0.192 ± 1.96 sqrt(0.016 + 0.0096)) / 1.384
    assert wilson_interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson_interval(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert wilson_interval(10, 10) == pytest.approx((0.7225, 1), abs=1e-4)


@given(st.integers(1, 10**6), st.floats(0, 1))
def test_the_interval_holds_its_share_and_solves_the_score_equation(count: int, part: float) -> None:
    p = round(part * count) / count
    low, high = wilson_interval(p * count, count)
    assert 0 <= low <= p <= high <= 1
    for share in (low, high):
        assert abs(p - share) == pytest.approx(1.959964 * math.sqrt(share * (1 - share) / count), rel=1e-4, abs=1e-8)


def test_the_interval_is_walds_after_half_a_row_in_each_cell() -> None:
    # Of 100 rows 15 are right under the first model alone, 5 under the second alone.
    first_only, second_only, rows = 15 + 0.5, 5 + 0.5, 100 + 2
    difference = (first_only - second_only) / rows
    half = NORMAL_975 * math.sqrt(first_only + second_only - (first_only - second_only) ** 2 / rows) / rows
    low, high = difference_interval([1.0] * 15 + [-1.0] * 5 + [0.0] * 80)
    assert (low, high) == (pytest.approx(difference - half), pytest.approx(difference + half))
