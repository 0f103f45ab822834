"""Figures of the rows that stay: the same however the rows are shared out, and true to the rows."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from steps.preprocess.report.figures import Figures
from steps.preprocess.shards.shard import CHOSEN_CALLS, HAS_TOOLS, IN_VALIDATION, INDEX, REJECTED_CALLS

ENTRIES = st.lists(
    st.tuples(st.tuples(*[st.integers(0, 200_000)] * 3), st.integers(0, 31)), min_size=1, max_size=30
)  # fmt: skip


def index(entries: list) -> np.ndarray:
    array = np.zeros(len(entries), INDEX)
    for place, (characters, flags) in enumerate(entries):
        array[place]["characters"], array[place]["flags"] = characters, flags
    return array


def figures(*parts: list) -> Figures:
    total = Figures()
    for part in parts:
        one = Figures()
        one.add(index(part), ("characters",))
        total.merge(one)
    return total


@given(ENTRIES, ENTRIES)
def test_shares_of_the_rows_add_up_to_the_whole(one, other):
    assert figures(one, other) == figures([*other, *one])


@given(ENTRIES)
def test_figures_are_those_of_the_rows(entries):
    found = figures(entries).as_json(Counter({"add": 3}), ("characters",))
    pairs = sorted(prompt + max(chosen, rejected) for (prompt, chosen, rejected), _ in entries)
    said = found["lengths"]["characters"]["pair"]
    assert said["count"] == len(pairs)
    for name, exact in (("min", pairs[0]), ("max", pairs[-1])):
        assert exact <= said[name] <= exact * (1 + 2**-11)
    assert all(said[name] == exact for name, exact in (("min", pairs[0]), ("max", pairs[-1])) if exact < 4096)
    tools = [flags for _, flags in entries if flags & HAS_TOOLS]
    both = sum(bool(flags & CHOSEN_CALLS and flags & REJECTED_CALLS) for flags in tools)
    assert found["tools"]["rows"] == len(tools) == sum(found["tools"]["balance"].values())
    assert found["tools"]["balance"]["chosen_call_rejected_call"] == both
    assert found["tools"]["called"] == {"add": 3}
    assert found["lengths"]["tokens"] is None


@given(ENTRIES)
def test_sides_are_told_by_the_flag(entries):
    found = figures(entries)
    assert found.validation == sum(bool(flags & IN_VALIDATION) for _, flags in entries)
    assert found.train + found.validation == len(entries)


def test_no_rows_have_no_figures():
    found = Figures().as_json(Counter(), ("characters", "tokens"))
    assert found["recommended_max_length"] is None
    assert found["lengths"]["tokens"]["pair"]["count"] == 0
