"""The verdict over all rules: what passes, what fails with which numbers, and what cannot be judged."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.checks.service_model import service, value_problem
from steps.gate.decision import decide
from steps.gate.judge.judgement import Judgement
from steps.gate.rules.table import asked
from tests.steps.gate.evaluation import (
    REASON,
    before_answers,
    champion,
    evaluation,
    figures,
    limits,
    paired,
    share,
    side,
    verdicts,
)

NO_CHAMPION = "no version of dpo is approved"
JUDGED = Judgement("the.judge", pairs=30, wins=12, losses=8, ties=10, unreadable=0, tokens=9000, stopped=None)


def test_a_good_run_passes_and_says_accuracy_and_calls_as_served() -> None:
    found = decide(evaluation(), limits(), NO_CHAMPION)
    assert found["decision"] == "pass"
    assert found["message"] == (
        "Held-out reward accuracy 0.8833, as served, meets the threshold 0.55 (60 rows, 0 ties; 0.5000 before "
        "training). No champion: no version of dpo is approved. Tool calls are as the chosen answers' in 22 of 40 "
        "(0.5500), the base's in 14 of 40 (0.3500): 9 won, 1 lost, not significantly worse (McNemar's p 0.9990, not "
        "below 0.05)."
    )
    assert verdicts(found) == {
        "rows": "pass",
        "accuracy": "pass",
        "champion": "not judged",
        "served_drift": "pass",
        "calls": "pass",
        "calls_champion": "not judged",
        "degenerate": "pass",
    }
    facts = {key: found[key] for key in ("form", "served_drift", "calls", "calls_before", "judge")}
    assert facts == {
        "form": "served",
        "served_drift": "0.0333",
        "calls": "0.5500",
        "calls_before": "0.3500",
        "judge": None,
    }
    assert (found["reward_accuracy"], found["reward_accuracy_trained"]) == (53 / 60, 0.9)
    assert found["summary"] == (
        "pass: reward accuracy 0.8833 threshold 0.55 rows 60 champion not compared calls 0.5500 before 0.3500 served "
        "drift 0.0333"
    )


def test_an_accuracy_that_rises_does_not_hide_that_calls_got_worse() -> None:
    worse = evaluation(answers__after=side(6, 5), answers__against_base={"calls": paired(1, 9, 40), "form": None})
    found = decide(worse, limits(), NO_CHAMPION)
    assert found["decision"] == "fail"
    assert {name for name, verdict in verdicts(found).items() if verdict == "fail"} == {"calls"}
    assert "accuracy 0.8833, as served, meets the threshold 0.55 (60 rows, 0 ties; 0.5000 before" in found["message"]
    assert (
        "in 6 of 40 (0.1500), the base's in 14 of 40 (0.3500): 1 won, 9 lost, significantly worse (McNemar's p 0.0107, "
        "below 0.05)."
    ) in found["message"]
    assert found["summary"].startswith("fail calls: reward accuracy 0.8833")


def test_degenerate_answers_fail_whatever_the_accuracy_is() -> None:
    found = decide(evaluation(answers__after=side(22, 30)), limits(), NO_CHAMPION)
    assert found["decision"] == "fail"
    assert {name for name, verdict in verdicts(found).items() if verdict == "fail"} == {"degenerate"}
    assert "accuracy 0.8833" in found["message"]
    assert (
        "30 of 61 answers are degenerate (30 without an end after 256 tokens): 0.4918, the base's 0.0656; more than "
        "0.2 is not allowed."
    ) in found["message"]


def test_two_held_out_rows_are_too_few() -> None:
    few = evaluation(after=figures(1.0, 2), served__after=figures(1.0, 2))
    found = decide(few, limits(), NO_CHAMPION)
    assert found["decision"] == "fail"
    assert "Too few rows to judge: 2 held-out rows, where at least 30 are needed" in found["message"]


def test_a_served_form_that_differs_too_much_fails_with_the_numbers() -> None:
    drift = {"rows": 60, "accuracy": -0.2, "log_prob_per_token": 0.4, "rows_changed": 12, "share_changed": 0.2}
    found = decide(evaluation(served__drift=drift, served__after=figures(0.7)), limits(), NO_CHAMPION)
    assert found["decision"] == "fail"
    assert (
        "Served as the base in bfloat16 with the adapter, 12 of 60 held-out rows change sides (0.2000, more than 0.1 "
        "is not allowed); reward accuracy moves by -0.2000, chosen answers' log-probability by 0.4000 nats a token."
    ) in found["message"]
    assert verdicts(decide(evaluation(served__drift=drift), limits(max_served_drift=0.2), ""))["served_drift"] == "pass"


def test_all_failures_are_named_in_one_message() -> None:
    drift = {"rows": 60, "accuracy": -0.5, "log_prob_per_token": None, "rows_changed": 40, "share_changed": 2 / 3}
    against = {"calls": paired(0, 12, 40), "form": paired(0, 9, 61)}
    bad = evaluation(
        after=figures(0.9, 9),
        served__after=figures(0.4, 9) | {"drift_chosen_per_token": -2.0},
        served__drift=drift,
        champion=champion(0.4, 0.9),
        answers__after=side(2, 61),
        answers__champion=side(20, 1),
        answers__against_base=against,
        answers__against_champion=against,
    )
    judged = Judgement("the.judge", pairs=30, wins=0, losses=20, ties=10, unreadable=0, tokens=1, stopped=None)
    found = decide(bad, limits(max_chosen_drop=1.0, judge="the.judge"), "", judged)
    names = ["rows", "accuracy", "champion", "chosen_drop", "served_drift", "calls", "calls_champion", "degenerate"]
    assert found["message"].startswith(f"9 of 9 rules failed: {', '.join([*names, 'judge'])}. Too few rows to judge: 9")
    assert all(rule["reason"] in found["message"] for rule in found["rules"])
    assert len(found["message"]) < 3072
    assert "by an unknown number of nats a token" in found["message"]
    assert "both as served against the base: worse by 0.5000" in found["message"]
    assert "log-probability, as served, fell by 2.0000 nats" in found["message"]
    assert "the champion's in 20 of 40 (0.5000): 0 won, 12 lost, significantly worse" in found["message"]


def test_why_the_served_form_was_not_evaluated_stands_in_the_message() -> None:
    apart = evaluation(served={"evaluated": False, "reason": REASON})
    said = f"The served form was not evaluated: {REASON}."
    for asks in (limits(), limits(max_served_drift=None)):
        found = decide(apart, asks, NO_CHAMPION)
        assert found["decision"] == "pass" and found["message"].count(said) == 1
        assert "Held-out reward accuracy 0.9000 meets" in found["message"]
        assert (found["form"], found["served_drift"], found["reward_accuracy"]) == ("trained", "none", 0.9)
    assert "served_drift" not in verdicts(found)


def test_a_trained_form_that_is_the_served_one_has_no_drift() -> None:
    same = {"evaluated": True, "reason": None, "same": True, "form": "the base in bfloat16 with the adapter"}
    found = decide(evaluation(served=same), limits(), NO_CHAMPION)
    assert verdicts(found)["served_drift"] == "pass"
    assert "accuracy 0.9000, as served, meets" in found["message"]
    assert (found["form"], found["served_drift"]) == ("served", "0.0000")


def test_what_was_not_answered_is_not_judged_and_said_once() -> None:
    apart = evaluation(answers={"judged": False, "reason": "evaluate_answers: 0"})
    found = decide(apart, limits(), NO_CHAMPION)
    assert found["decision"] == "pass"
    assert {verdicts(found)[name] for name in ("calls", "calls_champion", "degenerate")} == {"not judged"}
    assert found["message"].count("What the model answers was not judged: evaluate_answers: 0.") == 1
    assert (found["calls"], found["calls_before"]) == ("none", "none")


def test_an_evaluation_of_before_is_judged_as_before() -> None:
    found = decide(before_answers(0.9, 0.88), limits(), "")
    assert found["decision"] == "pass"
    assert {name for name, verdict in verdicts(found).items() if verdict == "not judged"} == {
        "served_drift",
        "calls",
        "calls_champion",
        "degenerate",
    }
    assert "Held-out reward accuracy 0.9000 meets" in found["message"]
    assert "both against the base" in found["message"]
    assert "The served form was not evaluated: evaluation.json says nothing of it." in found["message"]
    assert "What the model answers was not judged: evaluation.json says nothing of it." in found["message"]


def test_the_judges_figures_stand_in_the_decision() -> None:
    found = decide(evaluation(), limits(judge="the.judge"), NO_CHAMPION, JUDGED)
    assert found["judge"] == JUDGED.as_dict()
    assert verdicts(found)["judge"] == "pass"
    assert "Of 30 pairs of text answers the judge the.judge prefers this model's in 12" in found["message"]


def test_what_is_asked_before_a_run_names_the_rules_that_judge_it() -> None:
    everything = limits(max_chosen_drop=1, threshold_on="lower_end", judge="the.judge")
    for asks, judged in ((limits(), None), (limits(max_served_drift=None), None), (everything, JUDGED)):
        assert [*asked(asks)] == [*verdicts(decide(evaluation(), asks, "", judged))]


metadata_names = (
    "summary",
    "champion",
    "champion_reward_accuracy",
    "form",
    "served_drift",
    "calls",
    "calls_before",
)
unit = st.floats(0, 1)


@given(unit, unit, unit, st.integers(1, 40), st.integers(0, 61), st.sampled_from([True, False, None]), st.booleans())
def test_what_is_registered_fits_the_api(
    candidate: float, theirs: float, tolerance: float, right: int, degenerate: int, known: bool | None, served: bool
) -> None:
    section = None if known is None else champion(candidate, theirs, compared=known, reason="(of another kind); really")
    changes: dict[str, Any] = {} if served else {"served": {"evaluated": False, "reason": "x" * 5000}}
    whole = evaluation(champion=section, after=figures(candidate), answers__after=side(right, degenerate), **changes)
    judged = Judgement("j" * 2048, pairs=9, wins=0, losses=9, ties=0, unreadable=0, tokens=1, stopped="a bound")
    asks = limits(0.123456789, tolerance, max_chosen_drop=0.1, judge="j")
    found = decide(whole, asks, "no version (of 3) is approved", judged)
    shape = service().shape_for("CustomerMetadataValue")
    for key in metadata_names:
        assert len(found[key]) <= 256 and not value_problem(shape, found[key]), found[key]
    assert len(found["message"]) <= 3072  # of a Fail step


def test_a_summary_of_everything_that_failed_still_fits() -> None:
    against = {"calls": paired(0, 12, 40), "form": None}
    bad = evaluation(
        served__after=figures(0.4, 9) | {"drift_chosen_per_token": -2.0},
        after=figures(0.4, 9),
        served__drift={"rows": 9, "accuracy": 0.0, "log_prob_per_token": 0.0, "rows_changed": 9, "share_changed": 1.0},
        champion=champion(0.123, 0.9, version="12345678901234567890"),
        answers__after=side(2, 61),
        answers__champion=side(20, 1),
        answers__against_base=against,
        answers__against_champion=against,
    )
    judged = Judgement("j", pairs=9, wins=0, losses=9, ties=0, unreadable=0, tokens=1, stopped=None)
    found = decide(bad, limits(0.123456789, 0.0123456789, max_chosen_drop=1.0, judge="j"), "", judged)
    said = "fail rows champion chosen_drop served_drift calls calls_champion degenerate judge: reward accuracy 0.4000"
    assert found["summary"].startswith(said) and len(found["summary"]) <= 256


@pytest.mark.parametrize("share_of", [share(0, 40), share(40, 40)])
def test_the_figures_of_calls_are_those_of_the_section(share_of: dict[str, Any]) -> None:
    found = decide(evaluation(answers__after__calls=share_of), limits(), "")
    assert found["calls"] == f"{share_of['share']:.4f}"
