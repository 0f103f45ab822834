"""The rule on feedback that turns the given data's preferences round."""

from __future__ import annotations

from typing import Any

import pytest

from steps.gate.decision import decide
from tests.steps.gate.evaluation import evaluation, limits, verdicts


def decided(most: float | None, **feedback: Any) -> dict[str, Any]:
    found = evaluation()
    found["feedback"] = {"train": 1, "validation": 0, "weight": 1, **feedback}
    return decide(found, limits(max_reversed_share=most), "no champion")


@pytest.mark.parametrize(("count", "verdict"), [(0, "pass"), (2, "pass"), (3, "fail"), (10, "fail")])
def test_more_reversed_pairs_than_are_allowed_fail_the_model(count: int, verdict: str) -> None:
    found = decided(0.2, pairs=10, reversed=count)
    assert verdicts(found)["reversed"] == verdict and found["decision"] == verdict
    told = f"{count} of 10 pairs of feedback prefer the other way round than the given data ({count / 10:.4f}, "
    assert (told in found["message"]) == (verdict == "fail")


def test_few_pairs_and_a_training_that_says_nothing_are_not_judged() -> None:
    assert verdicts(decided(0.2, pairs=4, reversed=4))["reversed"] == "not judged"
    none = decided(0.2, pairs=0, reversed=0)
    assert verdicts(none)["reversed"] == "not judged" and "There are no pairs of feedback." in none["message"]
    assert verdicts(decided(0.2))["reversed"] == "not judged"


def test_without_a_limit_there_is_no_such_rule() -> None:
    assert "reversed" not in verdicts(decided(None, pairs=10, reversed=10))
