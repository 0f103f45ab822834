"""Lengths of a report: exact figures, on bins that any two reports share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.preprocess.report.distribution import (
    EDGES,
    LARGEST,
    PERCENTILES,
    distribution,
    percentile,
    recommended_max_length,
)
from tests.steps.preprocess.reports import counted

LENGTHS = st.lists(st.integers(0, 2**26) | st.integers(0, 40), min_size=1, max_size=60)


@given(LENGTHS)
def test_figures_are_those_of_the_rows(rows):
    found = distribution(*counted(rows))
    assert (found["count"], found["min"], found["max"]) == (len(rows), min(rows), max(rows))
    assert found["mean"] == pytest.approx(sum(rows) / len(rows), abs=0.051)
    for name, value in found["percentiles"].items():
        covered = sum(row <= value for row in rows)
        assert value in rows
        assert 100 * covered >= int(name) * len(rows)
        assert 100 * sum(row < value for row in rows) < int(name) * len(rows)


@given(LENGTHS)
def test_percentiles_are_those_of_numpy(rows):
    expected = np.percentile(rows, PERCENTILES, method="inverted_cdf").tolist()
    assert list(distribution(*counted(rows))["percentiles"].values()) == expected


@given(LENGTHS)
def test_every_row_is_in_the_bin_whose_edges_hold_it(rows):
    histogram = distribution(*counted(rows))["histogram"]
    edges, counts = histogram["edges"], histogram["counts"]
    assert len(edges) == len(counts) + 1
    assert counts[0] and counts[-1]
    for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
        assert count == sum(low <= row and (high is None or row < high) for row in rows)
        assert low in EDGES


def test_bins_are_narrow_at_first_and_quarter_octaves_later():
    assert EDGES.tolist()[:14] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 13, 16, 19]
    assert EDGES[-1] == LARGEST
    assert distribution(*counted([LARGEST, 2 * LARGEST]))["histogram"] == {"edges": [LARGEST, None], "counts": [2]}


def test_a_percentile_is_a_rank_that_floating_point_does_not_shift():
    rows = counted(range(1, 101))
    assert [percentile(*rows, percent) for percent in (1, 7, 29, 57, 99)] == [1, 7, 29, 57, 99]


def test_no_rows_have_no_figures():
    nothing = counted([])
    assert distribution(*nothing) == dict.fromkeys(("mean", "min", "max", "percentiles", "histogram")) | {"count": 0}
    assert recommended_max_length(*nothing, "tokens") is None


@pytest.mark.parametrize(
    ("rows", "basis", "tokens"),
    [
        ([64] * 99 + [9_000], "tokens", 64),
        ([65] * 2 + [10] * 98, "tokens", 128),
        ([0], "tokens", 64),  # a length that could hold nothing would not be one
        ([192] * 99 + [9_000], "characters", 64),
        ([193], "characters", 128),
    ],
)
def test_the_recommended_length_is_the_least_that_covers_99_percent(rows, basis, tokens):
    assert recommended_max_length(*counted(rows), basis) == {"tokens": tokens, "covers": 0.99, "basis": basis}
