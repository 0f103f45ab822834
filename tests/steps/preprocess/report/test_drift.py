"""Drift: silent about equal data and about chance, and one sentence for each change that matters."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.preprocess.report.drift import compare, stability_index
from tests.steps.preprocess.reports import lengths, of_lengths, one_row, report, without_lengths


def with_lengths(rows: int, scale: float = 1, seed: int = 1) -> dict:
    return report(read=1_000, lengths={"characters": of_lengths(lengths(rows, scale, seed)), "tokens": None})


def test_a_report_does_not_drift_from_itself():
    found = compare(report(), report(), {"new": 0, "kept": 12_263, "vanished": 0})
    assert found["same_data"]
    assert found["warnings"] == []
    assert found["rows"] == {"new": 0, "kept": 12_263, "vanished": 0}
    assert {part["psi"] for parts in found["lengths"].values() for part in parts.values()} == {0}
    assert found["settings"] == {}


def test_the_index_is_the_textbook_sum():
    expected = (0.2 - 0.5) * math.log(0.2 / 0.5) + (0.8 - 0.5) * math.log(0.8 / 0.5)
    assert stability_index([(20, 500), (80, 500)]) == pytest.approx(expected)
    half_a_row = 0.5 / 100
    assert stability_index([(100, 0), (0, 100)]) == pytest.approx(2 * (1 - half_a_row) * math.log(1 / half_a_row))


GROUPS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1)


@given(GROUPS.filter(lambda groups: all(map(any, zip(*groups, strict=True)))))
def test_the_index_is_never_negative_and_has_no_direction(groups):
    assert stability_index(groups) >= 0
    assert stability_index(groups) == pytest.approx(stability_index([(old, new) for new, old in groups]))


def test_longer_rows_are_a_warning_with_both_medians():
    found = compare(with_lengths(5_000, 3), with_lengths(5_000), None)
    old, new = found["lengths"]["characters"]["chosen"]["percentiles"]["50"]
    index = found["lengths"]["characters"]["chosen"]["psi"]
    assert new == pytest.approx(3 * old, rel=0.01)
    said = f"chosen lengths shifted: median {new:,} characters, {old:,} in the baseline (stability index {index:.2f})"
    assert said in found["warnings"]
    assert found["rows"] is None


@pytest.mark.parametrize(("now", "before"), [(20, 20), (60, 80), (200, 300)])
def test_rows_of_the_same_kind_are_warned_of_about_once_in_a_hundred_times(now, before):
    warned = compared = 0
    for seed in range(0, 300, 2):
        found = compare(with_lengths(now, seed=seed), with_lengths(before, seed=seed + 1), None)
        warned += len(found["warnings"])
        compared += len(found["lengths"]["characters"])
    assert compared == 600
    assert warned < 0.03 * compared


def test_some_dozens_of_rows_twice_as_long_are_seen():
    seen = [compare(with_lengths(60, 2, seed), with_lengths(80, 1, seed + 1), None)["warnings"] for seed in range(20)]
    assert sum(len(warnings) >= 3 for warnings in seen) >= 15


@pytest.mark.parametrize(("new", "old"), [(40, 400), (400, 40)])
def test_lengths_that_were_all_the_same_are_compared_too(new, old):
    def same(length: int) -> dict:
        return of_lengths(dict.fromkeys(("prompt", "chosen", "rejected", "pair"), np.full(50, length)))

    sides = (report(lengths={"characters": same(length), "tokens": None}) for length in (new, old))
    warnings = compare(*sides, None)["warnings"]
    assert len([warning for warning in warnings if "lengths shifted" in warning]) == 4


def test_a_reason_that_grows_by_more_than_a_point_is_a_warning():
    old, new = report(read=10_000, reasons={"not_json": 100}), report(read=10_000, reasons={"not_json": 201})
    assert compare(new, old, None)["warnings"] == ["quarantined as not_json: 2.0% of the rows, 1.0% in the baseline"]
    assert compare(report(read=10_000, reasons={"not_json": 200}), old, None)["warnings"] == []
    assert compare(old, new, None)["warnings"] == []


def test_a_layout_that_comes_or_goes_is_a_warning_however_rare():
    old = report(formats={"plain": 9_999, "hh-rlhf": 1})
    new = report(formats={"plain": 9_999, "sharegpt": 1, "chat": 1, "hh-rlhf": 0})
    found = compare(new, old, None)
    assert found["warnings"] == ["layouts chat, sharegpt appeared", "layout hh-rlhf vanished"]
    assert found["formats"]["sharegpt"][0] == 0 < found["formats"]["sharegpt"][1]


def test_a_tenth_fewer_rows_are_a_warning():
    kept = report()["rows"]["train"] + report()["rows"]["validation"]

    def rows(stay: int) -> dict:
        return report(rows={**report()["rows"], "train": stay, "validation": 0})

    assert compare(rows(math.ceil(0.9 * kept)), report(), None)["warnings"] == []
    fewer = int(0.89 * kept)
    assert compare(rows(fewer), report(), None)["warnings"] == [f"{fewer:,} rows stay, where the baseline had {kept:,}"]


def test_a_shift_in_tokens_is_not_told_again_in_characters():
    def both(scale: float) -> dict:
        found = of_lengths(lengths(2_000, scale))
        return report(lengths={"characters": found, "tokens": found})

    warnings = compare(both(4), both(1), None)["warnings"]
    assert len(warnings) == 4
    assert all(" tokens" in warning for warning in warnings)


def test_settings_that_differ_are_told():
    found = compare(report(tokenizer="b", max_tokens=9), report(tokenizer="a"), None)
    assert found["settings"] == {"tokenizer": ["a", "b"], "max_tokens": [None, 9]}


OLDEST = {"rows": {"read": 10, "train": 8, "validation": 2, "duplicate": 0, "quarantined": 0}}


@pytest.mark.parametrize(
    "baseline",
    [
        OLDEST,
        {"rows": {}},
        {"rows": {"read": None, "train": "many"}, "formats": [], "reasons": 3, "lengths": "long"},
        {**OLDEST, "lengths": {"characters": None, "tokens": {"chosen": {}, "prompt": None}}},
        {**OLDEST, "lengths": {"characters": {"chosen": {"percentiles": {"50": 1}, "histogram": {"edges": [1, 2]}}}}},
        {**report(), **without_lengths()},
    ],
)
def test_what_an_older_report_lacks_is_left_out(baseline):
    found = compare(report(), baseline, None)
    assert found["lengths"] == {}
    assert not [warning for warning in found["warnings"] if "stay" not in warning]


def test_bins_of_another_kind_are_not_compared():
    old = report()
    old["lengths"]["characters"]["chosen"]["histogram"] = {"edges": [0, 1000, 2000], "counts": [5, 5]}
    assert "chosen" not in compare(report(), old, None)["lengths"]["characters"]


def test_a_run_without_rows_compares_what_there_is():
    empty = report(rows={**report()["rows"], "train": 0, "validation": 0}, **without_lengths())
    assert compare(empty, report(), None)["warnings"] == ["0 rows stay, where the baseline had 12,263"]
    assert compare(one_row(), empty, None)["lengths"] == {}
