"""Rules on the ranking of held-out answers, on evaluations of before there were served figures and answers."""

from __future__ import annotations

import pytest

from steps.gate.decision import decide
from steps.shared.statistics.intervals import wilson_interval
from tests.steps.gate.evaluation import NOT_JUDGED, before_answers, limits, verdicts

OWN = "Held-out reward accuracy {:.4f} meets the threshold 0.55 (86 rows, 0 ties; 0.5000 before training). "


@pytest.mark.parametrize(
    ("candidate", "decision", "relation"),
    [
        (0.93, "fail", "worse by 0.0400, more than the tolerance 0.02"),
        (0.95, "pass", "worse by 0.0200, within the tolerance 0.02"),  # 0.95 - 0.97 is -0.020000000000000018
        (0.97, "pass", "the same"),
        (0.99, "pass", "better by 0.0200"),
    ],
)
def test_a_model_may_be_below_the_champion_by_the_tolerance(candidate: float, decision: str, relation: str) -> None:
    found = decide(before_answers(candidate, 0.97), limits(0.55), "version 3 is the newest approved one")
    assert found["decision"] == decision
    assert found["message"] == OWN.format(candidate) + (
        f"The champion, version 3, has 0.9700 on the same 86 rows, this model {candidate:.4f}, both against the base: "
        f"{relation} (3 rows won, 7 lost; 95% interval of the difference -0.1000 to +0.0200).{NOT_JUDGED}"
    )
    assert (found["champion"], found["champion_reward_accuracy"]) == ("3", "0.9700")
    assert (found["champion_difference"], found["champion_tolerance"]) == (f"{candidate - 0.97:+.4f}", 0.02)


def test_the_threshold_holds_whatever_the_champion_is() -> None:
    assert decide(before_answers(0.5, 0.3), limits(0.55), "")["decision"] == "fail"
    assert decide(before_answers(0.6, 0.9), limits(0.55, 1.0), "")["decision"] == "pass"


def test_without_a_comparison_the_threshold_decides_and_the_message_says_why() -> None:
    alone = before_answers(0.6, 0.9) | {"champion": None}
    found = decide(alone, limits(0.55), "no version of dpo is approved")
    assert found["decision"] == "pass"
    assert found["message"] == OWN.format(0.6) + "No champion: no version of dpo is approved." + NOT_JUDGED
    other = before_answers(0.6, 0.9, compared=False, reason="its base is a, this model's is b")
    apart = decide(other, limits(0.55), "")
    assert apart["decision"] == "pass"
    assert "The champion, version 3, was not compared: its base is a, this model's is b." in apart["message"]
    assert (apart["champion"], apart["champion_reward_accuracy"]) == ("3", "none")
    assert found.keys() == apart.keys() == decide(before_answers(0.6, 0.9), limits(0.55), "").keys()


def test_all_rules_are_looked_at_and_every_failure_is_named_in_one_message() -> None:
    evaluation = before_answers(0.5, 0.9, rows=2)
    evaluation["after"] |= {"rows": 2, "drift_chosen_per_token": -1.5}
    found = decide(evaluation, limits(0.55, max_chosen_drop=1), "")
    failed = {"rows": "fail", "accuracy": "fail", "champion": "fail", "chosen_drop": "fail"}
    assert {name: verdict for name, verdict in verdicts(found).items() if verdict != "not judged"} == failed
    assert found["message"].startswith("4 of 8 rules failed: rows, accuracy, champion, chosen_drop. ")
    for words in (
        "Too few rows to judge: 2 held-out rows, where at least 30 are needed; give more data",
        "0.5000 is below the threshold 0.55",
        "worse by 0.4000, more than the tolerance 0.02",
        "log-probability fell by 1.5000 nats a token, more than 1 is not allowed",
    ):
        assert words in found["message"]
    assert found["summary"].startswith("fail rows accuracy champion chosen_drop: ")
    assert [rule["figure"] for rule in found["rules"]][:4] == [2, 0.5, pytest.approx(-0.4), 1.5]


@pytest.mark.parametrize(("rows", "verdict"), [(1, "fail"), (29, "fail"), (30, "pass")])
def test_a_perfect_accuracy_on_few_rows_is_no_reason_to_pass(rows: int, verdict: str) -> None:
    evaluation = before_answers(1, 0.5)
    evaluation["after"]["rows"] = rows
    found = decide(evaluation, limits(0.55), "")
    assert verdicts(found)["rows"] == found["decision"] == verdict
    assert ("Too few rows to judge" in found["message"]) == (verdict == "fail")


def test_the_lower_end_of_the_interval_can_be_what_must_reach_the_threshold() -> None:
    low, high = wilson_interval(60, 100)
    evaluation = before_answers(0.6, 0.5)
    evaluation["after"] |= {"rows": 100, "reward_accuracy_low": low, "reward_accuracy_high": high}
    assert decide(evaluation, limits(0.55), "")["decision"] == "pass"
    found = decide(evaluation, limits(0.55, threshold_on="lower_end"), "")
    assert found["decision"] == "fail" and 0.5 < low < 0.55
    assert f"accuracy 0.6000, at least {low:.4f} with 95% confidence, is below the threshold 0.55" in found["message"]
    assert decide(evaluation, limits(0.5, threshold_on="lower_end"), "")["decision"] == "pass"


@pytest.mark.parametrize(("ratio", "verdict"), [(-0.3, "fail"), (-0.2, "pass"), (0.1, "pass"), (None, "not judged")])
def test_chosen_answers_may_lose_as_much_probability_as_is_asked(ratio: float | None, verdict: str) -> None:
    evaluation = before_answers(0.9, 0.5)
    evaluation["after"]["drift_chosen_per_token"] = ratio
    assert verdicts(decide(evaluation, limits(0.55, max_chosen_drop=0.2), ""))["chosen_drop"] == verdict
    assert "chosen_drop" not in verdicts(decide(evaluation, limits(0.55), ""))
