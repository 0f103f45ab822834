"""The served form: which figures are it, and how far it may differ."""

from __future__ import annotations

import pytest

from steps.gate.rules import served
from steps.shared.contract import StepError
from tests.steps.gate.evaluation import REASON, evaluation


@pytest.mark.parametrize(("most", "verdict"), [(0.0, "fail"), (2 / 60, "pass"), (0.1, "pass")])
def test_a_share_of_the_rows_may_change_sides(most: float, verdict: str) -> None:
    found = served.drift(evaluation(), most)
    assert (found.verdict, found.figure, found.limit) == (verdict, 2 / 60, most)


def test_figures_are_the_served_ones_where_they_differ_from_the_trained() -> None:
    assert served.figures(evaluation()) == "served."
    assert served.figures(evaluation(served__same=True)) == ""
    assert served.figures(evaluation(served={"evaluated": False, "reason": REASON})) == ""
    assert served.figures({"after": {}}) == ""


def test_a_section_that_does_not_say_why_it_is_empty_is_an_error() -> None:
    with pytest.raises(StepError, match=r"served\.reason is missing"):
        served.drift(evaluation(served={"evaluated": False}), 0.1)
