"""Counts of what nothing reads: they merge in any grouping, and stay small whatever the rows are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.preprocess.shards import unread
from steps.preprocess.shards.unread import UnreadPlaces


def counted(rows: list[dict]) -> UnreadPlaces:
    places = UnreadPlaces()
    for row in rows:
        places.count(row)
    return places


def test_a_place_has_its_rows_and_the_first_example():
    places = counted([{"id": 1, "category": "math"}, {"id": 2}, {"id": 3, "meta": {"a": ["é"]}}])
    assert places.as_json() == {
        "id": {"rows": 3, "example": "1"},
        "category": {"rows": 1, "example": '"math"'},
        "meta": {"rows": 1, "example": '{"a": ["é"]}'},
    }


def test_long_names_and_examples_are_cut_and_deep_ones_told_in_words():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    places = counted([{"n" * 500: "x" * 10_000, "deep": deep, "many": list(range(9999))}])
    assert all(len(place) <= 100 and len(example) <= 60 for place, (_, example) in places.places.items())
    assert places.places["deep"] == [1, "a list"]
    while deep:  # taken apart by hand: freeing a nest this deep at once takes a stack as deep
        deep = deep.pop()


def test_rows_with_ever_new_names_are_cut_off_and_it_is_said():
    places = counted([{f"key {n:05}": n} for n in range(3000)])
    assert (len(places.places), places.more) == (unread.PLACES, True)
    assert not counted([{"id": n} for n in range(3000)]).more


ROWS = st.lists(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(0, 9), max_size=6), max_size=12)


@given(st.lists(ROWS, min_size=1, max_size=4))
def test_parts_merged_in_any_grouping_are_the_counts_of_the_whole(parts):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unread, "PLACES", 5)
        whole = counted([row for part in parts for row in part])
        from_left, from_right = UnreadPlaces(), UnreadPlaces()
        for part in parts:
            from_left.merge(counted(part))
        for part in reversed(parts):
            before = counted(part)
            before.merge(from_right)
            from_right = before
        assert from_left == from_right == whole
