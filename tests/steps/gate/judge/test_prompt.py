"""What the judge is asked, and how its verdict is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.gate.judge.pairs import Pair
from steps.gate.judge.prompt import asked, choice

PAIR = Pair("a", "user:\nHi {first}", "from the {base}", "from the candidate")


def test_both_orders_ask_the_same_question() -> None:
    first, second = asked(PAIR, candidate_first=True), asked(PAIR, candidate_first=False)
    assert "<answer_A>\nfrom the candidate\n" in first and "<answer_B>\nfrom the {base}\n" in first
    assert "<answer_A>\nfrom the {base}\n" in second and "<answer_B>\nfrom the candidate\n" in second
    assert "user:\nHi {first}" in first and sorted(first) == sorted(second)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("A is kind.\n[[A]]", "A"),
        ("Both say [[A]] or [[B]].\n\n**[[B]]**  \n", "B"),
        ("[[C]]", "C"),
        ("The better one is [[B]].\nI hope that helps!", "B"),
        ("[[A]] in part, [[B]] in part", None),
        ("I cannot judge this.", None),
        ("[[D]]", None),
        ("A", None),
        ("", None),
        ("  \n ", None),
    ],
)
def test_a_verdict_is_the_one_mark_of_the_last_line_or_of_all(said: str, found: str | None) -> None:
    assert choice(said) == found


@given(st.text())
def test_any_answer_has_a_verdict_or_none(said: str) -> None:
    assert choice(said) in ("A", "B", "C", None)
