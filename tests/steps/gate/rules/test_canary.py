"""The rules on the canary set."""

from __future__ import annotations

from typing import Any

import pytest

from steps.gate.decision import decide
from tests.steps.gate.evaluation import champion, evaluation, figures, limits, verdicts


def decided(own: float | None, theirs: float | None = None, least: float | None = 0.6) -> dict[str, Any]:
    found = evaluation()
    found["canary"] = None if own is None else figures(own, 20)
    if theirs is not None:
        sides = {"candidate": {"reward_accuracy": own}, "champion": {"reward_accuracy": theirs}}
        found["champion"] = champion(canary={"rows": 20, "wins": 1, "losses": 3, **sides})
    return decide(found, limits(canary_threshold=least), "nobody was approved")


@pytest.mark.parametrize(("own", "verdict"), [(0.6, "pass"), (0.55, "fail"), (1.0, "pass")])
def test_the_canary_set_has_a_threshold_of_its_own(own: float, verdict: str) -> None:
    found = decided(own)
    assert verdicts(found)["canary"] == verdict and found["decision"] == verdict
    assert verdicts(found)["canary_champion"] == "not judged"


@pytest.mark.parametrize(("theirs", "verdict"), [(0.9, "pass"), (0.92, "pass"), (0.95, "fail"), (0.5, "pass")])
def test_on_it_a_model_must_not_be_worse_than_the_champion(theirs: float, verdict: str) -> None:
    found = decided(0.9, theirs)
    assert verdicts(found)["canary_champion"] == verdict and found["decision"] == verdict
    told = "On the 20 rows of the canary set the champion has 0.9500, this model 0.9000 (1 won, 3 lost): more than"
    assert (told in found["message"]) == (verdict == "fail")


def test_a_set_of_which_no_row_was_evaluated_fails() -> None:
    found = decided(None)
    assert verdicts(found)["canary"] == "fail" and "No row of the canary set could be evaluated" in found["message"]


def test_a_champion_that_was_not_compared_on_it_is_not_judged() -> None:
    found = evaluation(canary=figures(0.9, 20), champion=champion())
    assert verdicts(decide(found, limits(canary_threshold=0.6), ""))["canary_champion"] == "not judged"
    compared = {"version": "3", "compared": False, "reason": "another base"}
    found = evaluation(canary=figures(0.9, 20), champion=compared)
    assert verdicts(decide(found, limits(canary_threshold=0.6), ""))["canary_champion"] == "not judged"


def test_without_a_set_there_are_no_such_rules() -> None:
    assert not {"canary", "canary_champion"} & verdicts(decided(0.9, least=None)).keys()
