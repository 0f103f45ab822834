"""Comparisons: the test on the common rows, what differs, what a reader is told."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.versions import comparison_plot
from pipeline.versions.comparison import Evaluation, Side, compare, differing, mcnemar, paired, side, verdict
from pipeline.versions.registry import ModelVersion, Options
from tests.pipeline.registered import evaluation

VERSION = ModelVersion("group", 1, "arn", "Approved", datetime(2026, 1, 2, tzinfo=UTC), metrics_uri="s3://b/run/gate/e")
OPTIONS = Options(" --local", " --group g")
margins = st.dictionaries(st.sampled_from("abcdefghxyz"), st.sampled_from([-2.0, -0.5, 0.0, 0.5, 2.0]), min_size=1)


def made(margins: dict[str, float], number: int = 1, beta: float = 0.1, **metadata: str) -> Side:
    found = Evaluation.model_validate(evaluation(margins, beta))
    return Side(replace(VERSION, version=number, metadata=metadata), found, {"beta": beta}, f"run {number}")


@given(st.integers(0, 6), st.integers(0, 6))
def test_the_p_value_is_the_share_of_splits_as_uneven_as_this_one(first: int, second: int) -> None:
    n, apart = first + second, abs(first - second)
    splits = [abs(n - 2 * sum(coins)) for coins in itertools.product((0, 1), repeat=n)]
    assert mcnemar(first, second) == pytest.approx(sum(split >= apart for split in splits) / len(splits))


def test_the_p_value_of_a_textbook_table() -> None:
    """32 against 2 discordant rows: 2 (1 + 34 + 561) / 2^34."""
    assert mcnemar(32, 2) == pytest.approx(2 * 596 / 2**34)
    assert mcnemar(0, 0) == mcnemar(5, 5) == 1
    assert mcnemar(1000, 1100) == pytest.approx(mcnemar(1100, 1000))


@given(margins, margins)
def test_every_common_row_is_counted_once_and_turning_round_turns_the_counts(one: dict, other: dict) -> None:
    found, turned = paired(one, other), paired(other, one)
    if not one.keys() & other.keys():
        assert found is turned is None
        return
    assert (
        found.rows
        == len(one.keys() & other.keys())
        == found.both + found.first_only + found.second_only + (found.neither)
    )
    assert (found.first_only, found.second_only) == (turned.second_only, turned.first_only)
    assert (found.both, found.neither, found.p_value) == (turned.both, turned.neither, turned.p_value)
    assert found.median_gain == -turned.median_gain


def test_a_tie_counts_between_right_and_wrong() -> None:
    found = paired({"a": 0.0, "b": 0.0, "c": 0.0}, {"a": 1.0, "b": -1.0, "c": 0.0})
    assert (found.second_only, found.first_only, found.both, found.neither) == (1, 1, 0, 1)


def test_rows_that_differ_are_said_plainly() -> None:
    one = made({"a": 1.0, "b": 1.0, "c": 1.0})
    assert compare(one, made({"a": 1.0, "b": 1.0, "d": 1.0}, 2)).notes == [
        "The held-out rows differ: 2 are in both evaluations, of 3 and 3. "
        "Each column is over its own rows; only the paired comparison is over the same."
    ]
    apart = compare(one, made({"x": 1.0}, 2))
    assert apart.notes == [
        "The held-out rows differ: none of the 3 and 1 is in both, so a difference may be that of the rows."
    ]
    assert verdict(apart) == "Nothing can be paired: no row is in both evaluations."


def test_another_beta_another_base_and_the_same_training_are_said() -> None:
    rows = {"a": 1.0}
    notes = compare(made(rows, base_model="one"), made(rows, 2, beta=0.3, base_model="other")).notes
    assert notes[1].startswith("beta differs (0.1 and 0.3)") and notes[2].startswith("The base models differ")
    assert compare(made(rows), made(rows)).notes[0].startswith("Both come from the same training run")


def test_the_verdict_names_the_better_one_only_where_chance_does_not_explain_it() -> None:
    names = [f"row{number}" for number in range(12)]
    right, wrong = dict.fromkeys(names, 1.0), dict.fromkeys(names, -1.0)
    assert verdict(compare(made(wrong), made(right, 2))) == (
        "Version 2 is better (of 12 rows only version 1 is right on 0, only version 2 on 12; "
        "exact McNemar test, p = 0.00049)."
    )
    assert verdict(compare(made(right), made(wrong, 2))).startswith("Version 1 is better")
    assert verdict(compare(made(right), made(wrong | dict.fromkeys(names[:8], 1.0), 2))).startswith("No difference")


def test_what_differs_is_told_with_both_values() -> None:
    assert differing({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 5, "d": None}) == {"b": (2, 5), "c": (3, None)}


def test_the_arguments_stand_beside_the_gates_decision() -> None:
    manifest = {"arguments": {"beta": 0.1}, "fingerprint": "f"}
    place = "s3://b/run/serving/adapters/dpo/manifest.json"
    files = {"s3://b/run/gate/e": json.dumps(evaluation({"a": 1.0})), place: "{}"}
    version = replace(VERSION, metrics_uri="s3://b/run/gate/e")

    def read(uri: str) -> bytes | None:
        return files[uri].encode() if uri in files else None

    assert side(version, read, OPTIONS).arguments is None
    files[place] = json.dumps(manifest)
    assert (side(version, read, OPTIONS).arguments, side(version, read, OPTIONS).training) == ({"beta": 0.1}, "f")
    assert compare(side(version, read, OPTIONS), made({"a": 1.0})).arguments == {}
    files[place] = "{"
    with pytest.raises(UserError, match=f"{re.escape(place)}: not a manifest: the file: Invalid JSON"):
        side(version, read, OPTIONS)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"margins": []}, "margins: List should have at least 1 item"),
        ({"after": {"rows": 0, "reward_accuracy": 0.5}}, "after.rows: "),
        ({"margins": [{"id": "a", "margin": "wide"}]}, "margins.0.margin: "),
    ],
)
def test_a_damaged_evaluation_is_named_by_its_field(change: dict, said: str) -> None:
    text = json.dumps(evaluation({"a": 1.0}) | change).encode()
    with pytest.raises(UserError, match="s3://b/run/gate/e: not an evaluation: ") as error:
        side(VERSION, lambda _: text, OPTIONS)
    assert said in str(error.value) and str(error.value).endswith("python pipeline.py models --local --group g")
    with pytest.raises(UserError, match="names no evaluation"):
        side(replace(VERSION, metrics_uri=None), lambda _: text, OPTIONS)


@pytest.mark.parametrize("second", [{"a": 5.0, "b": -500.0}, {"x": 0.0}], ids=["paired", "other rows, all ties"])
def test_any_two_evaluations_can_be_drawn(tmp_path: Path, second: dict[str, float]) -> None:
    comparison_plot.write(compare(made({"a": 1.0, "b": 0.0}), made(second, 2)), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 20_000
