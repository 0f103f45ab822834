"""Pairs of feedback that say the opposite of the given data."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from steps.shared.records import OF_FEEDBACK, Record
from steps.train.rows.reversed import count


def pair(prompt: str, chosen: str, rejected: str, *, said: bool = False) -> Record:
    def message(role: str, text: str) -> list[dict[str, Any]]:
        return [{"role": role, "content": text}]

    answers = message("assistant", chosen), message("assistant", rejected)
    file = f"{OF_FEEDBACK}pairs.jsonl" if said else "a.jsonl"
    return Record("id", message("user", prompt), *answers, None, "chat", file, 1)


GIVEN = [pair("p", "a", "b"), pair("q", "a", "b")]


def test_the_chosen_answer_as_a_rejected_one_or_the_other_way_round_is_reversed() -> None:
    said = [
        pair("p", "b", "c", said=True),
        pair("p", "c", "a", said=True),
        pair("p", "a", "c", said=True),
        pair("p", "c", "b", said=True),
        pair("r", "b", "a", said=True),
    ]
    assert count([*said, *GIVEN], None) == {"pairs": 5, "reversed": 2}


def test_what_preprocess_left_out_as_contradictory_counts_too() -> None:
    report = {"feedback_contradictory": 3}
    assert count([*GIVEN, pair("p", "b", "c", said=True)], report) == {"pairs": 4, "reversed": 4}
    assert count(GIVEN, {}) == {"pairs": 0, "reversed": 0}


@given(st.lists(st.tuples(st.sampled_from("pq"), st.sampled_from("abc"), st.sampled_from("abc"), st.booleans())))
def test_it_is_what_comparing_every_pair_with_every_other_gives(rows: list[tuple[str, str, str, bool]]) -> None:
    records = [pair(prompt, chosen, rejected, said=said) for prompt, chosen, rejected, said in rows]
    data = [row for row in rows if not row[3]]
    found = sum(any(g[0] == r[0] and (g[2] == r[1] or g[1] == r[2]) for g in data) for r in rows if r[3])
    assert count(records, None)["reversed"] == found
