"""The gate: a whole run passes or fails with the numbers, by threshold and by champion; a torn one is an error."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.checks.service_model import service, value_problem
from steps.gate.__main__ import CARD as CARD_FILE
from steps.gate.__main__ import REPORTS, main
from steps.gate.decision import decide
from steps.gate.rules import Limits, asked
from steps.shared import served_files
from steps.shared.contract import StepError
from steps.shared.statistics.intervals import wilson_interval
from steps.train.results import picture_and_page, registry_card
from steps.train.rows import tokenise

CARD = {
    "intended_uses": {"risk_rating": "Unknown"},
    "evaluation_details": [{"name": "Held-out", "evaluation_observation": "Ties before."}],
}
FIGURES = {"rows": 40, "loss": 0.3, "reward_accuracy": 0.85, "reward_margin": 1.0, "ties": 2}


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "trained"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 24}')
    before = FIGURES | {"reward_accuracy": 0.5}
    (folder / "evaluation.json").write_text(json.dumps({"rows": 40, "before": before, "after": FIGURES}))
    (folder / "report.html").write_text("<p>a row of the data</p>")
    (folder / "model_card.json").write_text(json.dumps(CARD))
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    manifest = {"steps_planned": 10, "steps_done": 10, "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def compared(candidate: float, champion: float, **other: object) -> dict:
    """An evaluation with a comparison on its 86 rows."""
    paired = {"wins": 3, "losses": 7, "difference_low": -0.1, "difference_high": 0.02}
    sides = {"candidate": {"reward_accuracy": candidate}, "champion": {"reward_accuracy": champion}}
    section = {"version": "3", "compared": True, "reason": None, "rows": 86, **sides, **paired, **other}
    after = FIGURES | {"rows": 86, "ties": 0, "reward_accuracy": candidate}
    return {"before": FIGURES | {"reward_accuracy": 0.5}, "after": after, "champion": section}


def limits(threshold: float, tolerance: float = 0.02, **other: Any) -> Limits:
    return Limits(
        **{"threshold_on": "accuracy", "min_rows": 30, "max_chosen_drop": None} | other,
        threshold=threshold,
        tolerance=tolerance,
    )


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
    found = decide(compared(candidate, 0.97), limits(0.55), "version 3 is the newest approved one")
    assert found["decision"] == decision
    assert found["message"] == OWN.format(candidate) + (
        f"The champion, version 3, has 0.9700 on the same 86 rows, this model {candidate:.4f}, both against the base: "
        f"{relation} (3 rows won, 7 lost; 95% interval of the difference -0.1000 to +0.0200)."
    )
    assert (found["champion"], found["champion_reward_accuracy"]) == ("3", "0.9700")
    assert (found["champion_difference"], found["champion_tolerance"]) == (f"{candidate - 0.97:+.4f}", 0.02)


def test_the_threshold_holds_whatever_the_champion_is() -> None:
    assert decide(compared(0.5, 0.3), limits(0.55), "")["decision"] == "fail"
    assert decide(compared(0.6, 0.9), limits(0.55, 1.0), "")["decision"] == "pass"


def test_without_a_comparison_the_threshold_decides_and_the_message_says_why() -> None:
    alone = compared(0.6, 0.9) | {"champion": None}
    found = decide(alone, limits(0.55), "no version of dpo is approved")
    assert found["decision"] == "pass"
    assert found["message"] == OWN.format(0.6) + "No champion: no version of dpo is approved."
    other = compared(0.6, 0.9, compared=False, reason="its base is a, this model's is b")
    apart = decide(other, limits(0.55), "")
    assert apart["decision"] == "pass"
    assert apart["message"].endswith("The champion, version 3, was not compared: its base is a, this model's is b.")
    assert (apart["champion"], apart["champion_reward_accuracy"]) == ("3", "none")
    assert found.keys() == apart.keys() == decide(compared(0.6, 0.9), limits(0.55), "").keys()


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.sampled_from([True, False, None]))
def test_what_is_registered_fits_the_api(
    candidate: float, champion: float, tolerance: float, known: bool | None
) -> None:
    evaluation = compared(candidate, champion, compared=known, reason="(it is of another kind); really")
    if known is None:
        evaluation["champion"] = None
    found = decide(evaluation, limits(0.123456789, tolerance), "no version (of 3) is approved")
    shape = service().shape_for("CustomerMetadataValue")
    for key in ("summary", "champion", "champion_reward_accuracy"):
        assert len(found[key]) <= 256 and not value_problem(shape, found[key]), found[key]
    assert len(found["message"]) <= 3072  # of a Fail step


def verdicts(found: dict[str, Any]) -> dict[str, str]:
    return {rule["name"]: rule["verdict"] for rule in found["rules"]}


def test_all_rules_are_looked_at_and_every_failure_is_named_in_one_message() -> None:
    evaluation = compared(0.5, 0.9, rows=2)
    evaluation["after"] |= {"rows": 2, "drift_chosen_per_token": -1.5}
    found = decide(evaluation, limits(0.55, max_chosen_drop=1), "")
    assert verdicts(found) == {"rows": "fail", "accuracy": "fail", "champion": "fail", "chosen_drop": "fail"}
    assert found["message"].startswith("4 of 4 rules failed: rows, accuracy, champion, chosen_drop. ")
    for words in (
        "Too few rows to judge: 2 held-out rows, where at least 30 are needed; give more data",
        "0.5000 is below the threshold 0.55",
        "worse by 0.4000, more than the tolerance 0.02",
        "log-probability fell by 1.5000 nats a token, more than 1 is not allowed",
    ):
        assert words in found["message"]
    assert found["summary"].startswith("fail rows accuracy champion chosen_drop: ")
    assert [rule["figure"] for rule in found["rules"]] == [2, 0.5, pytest.approx(-0.4), 1.5]


@pytest.mark.parametrize(("rows", "verdict"), [(1, "fail"), (29, "fail"), (30, "pass")])
def test_a_perfect_accuracy_on_few_rows_is_no_reason_to_pass(rows: int, verdict: str) -> None:
    evaluation = compared(1, 0.5)
    evaluation["after"]["rows"] = rows
    found = decide(evaluation, limits(0.55), "")
    assert verdicts(found)["rows"] == found["decision"] == verdict
    assert ("Too few rows to judge" in found["message"]) == (verdict == "fail")


def test_the_lower_end_of_the_interval_can_be_what_must_reach_the_threshold() -> None:
    low, high = wilson_interval(60, 100)
    evaluation = compared(0.6, 0.5)
    evaluation["after"] |= {"rows": 100, "reward_accuracy_low": low, "reward_accuracy_high": high}
    assert decide(evaluation, limits(0.55), "")["decision"] == "pass"
    found = decide(evaluation, limits(0.55, threshold_on="lower_end"), "")
    assert found["decision"] == "fail" and 0.5 < low < 0.55
    assert f"accuracy 0.6000, at least {low:.4f} with 95% confidence, is below the threshold 0.55" in found["message"]
    assert decide(evaluation, limits(0.5, threshold_on="lower_end"), "")["decision"] == "pass"


@pytest.mark.parametrize(("ratio", "verdict"), [(-0.3, "fail"), (-0.2, "pass"), (0.1, "pass"), (None, "not judged")])
def test_chosen_answers_may_lose_as_much_probability_as_is_asked(ratio: float | None, verdict: str) -> None:
    evaluation = compared(0.9, 0.5)
    evaluation["after"]["drift_chosen_per_token"] = ratio
    assert verdicts(decide(evaluation, limits(0.55, max_chosen_drop=0.2), ""))["chosen_drop"] == verdict
    assert "chosen_drop" not in verdicts(decide(evaluation, limits(0.55), ""))


def test_what_is_asked_before_a_run_names_the_rules_that_judge_it() -> None:
    for asks in (limits(0.55), limits(0.55, max_chosen_drop=1, threshold_on="lower_end")):
        evaluation = compared(1, 0.5)
        evaluation["after"] |= {"reward_accuracy_low": 0.9, "drift_chosen_per_token": 0.0}
        assert [*asked(asks)] == [*verdicts(decide(evaluation, asks, ""))]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--threshold", "1.5"], "--threshold: 1.5: must lie between 0 and 1"),
        (["--min-validation-rows", "0"], "--min-validation-rows: 0: must be at least 1"),
        (["--max-chosen-drop", "-1"], "--max-chosen-drop: -1.0: must be at least 0"),
        (["--max-chosen-drop", "nan"], "--max-chosen-drop: nan: must be at least 0"),
    ],
)
def test_a_limit_out_of_range_is_refused(adapter: Path, words: list[str], said: str) -> None:
    given = [
        "--adapter",
        f"{adapter}",
        "--output",
        f"{adapter.parent / 'out'}",
        "--threshold",
        "0.5",
        "--pipeline",
        "dpo",
    ]
    with pytest.raises(StepError) as error:
        main([*given, *words])
    assert str(error.value) == said


def gate(forked, adapter: Path, threshold: float):
    words = ["--adapter", adapter, "--output", adapter.parent / "out", "--threshold", threshold]
    return forked("-m", "steps.gate", *words, "--pipeline", "dpo")


@pytest.mark.parametrize(("threshold", "decision", "words"), [(0.85, "pass", "meets"), (0.9, "fail", "is below")])
def test_the_decision_carries_its_numbers(forked, adapter: Path, threshold: float, decision: str, words: str) -> None:
    done = gate(forked, adapter, threshold)
    assert done.returncode == 0, done.stderr
    written = json.loads((adapter.parent / "out" / "decision" / "gate.json").read_text())
    assert (written["decision"], written["max_lora_rank"]) == (decision, 32)
    assert (
        written["message"]
        == done.stdout.splitlines()[-1]
        == (
            f"Held-out reward accuracy 0.8500 {words} the threshold {threshold:g} "
            "(40 rows, 2 ties; 0.5000 before training). No champion: no champion was named."
        )
    )
    verdict = {"meets": "pass", "is below": "fail"}[words]
    assert [line.split() for line in done.stdout.splitlines()[:-1]] == [
        ["rule", "figure", "limit", "verdict"],
        ["rows", "40", "1", "pass"],
        ["accuracy", "0.85", f"{threshold:g}", verdict],
        ["champion", "-", "-0.02", "not", "judged"],
    ]
    assert (written["champion"], written["champion_difference"]) == ("none", "none")
    said = "fail accuracy" if decision == "fail" else decision
    assert written["summary"] == f"{said}: reward accuracy 0.8500 threshold {threshold:g} rows 40 champion not compared"
    metadata = service().shape_for("CustomerMetadataMap").value
    assert not value_problem(metadata, written["summary"]) and value_problem(metadata, written["message"])


def test_what_is_served_is_the_adapter_and_what_people_read_stands_beside_the_decision(forked, adapter: Path) -> None:
    assert gate(forked, adapter, 0.5).returncode == 0
    out = adapter.parent / "out"
    served = out / "serving" / "adapters" / "dpo"
    there = sorted(path.name for path in (out / "serving").iterdir())
    assert there == ["adapters", "manifest.json", "serving.properties"]
    decided = json.loads((out / "decision" / "gate.json").read_text())
    served_files.check_folder(out / "serving", decided["manifest_sha256"], whole=True)
    assert (out / "decision" / "evaluation.json").read_bytes() == (adapter / "evaluation.json").read_bytes()
    assert (out / "serving" / "serving.properties").read_text() == "engine=Python\n"
    assert {path.name for path in served.iterdir()} == {path.name for path in adapter.iterdir()} - {"report.html"}
    assert (served / "adapter_model.safetensors").read_bytes() == b"weights"
    decision = {path.name for path in (out / "decision").iterdir()}
    assert decision == {"card.json", "evaluation.json", "gate.json", "report.html"}


def test_the_gate_knows_trainings_files_by_their_names() -> None:
    assert {picture_and_page.PAGE, picture_and_page.PICTURE, tokenise.LEFT_OUT} < set(REPORTS)
    assert registry_card.CARD == CARD_FILE


def test_the_registrations_card_has_the_decision_and_who_made_it(forked, adapter: Path) -> None:
    message = gate(forked, adapter, 0.9).stdout.splitlines()[-1]
    content = json.loads((adapter.parent / "out" / "decision" / "card.json").read_text())["content"]
    (evaluation,) = CARD["evaluation_details"]
    assert json.loads(content) == CARD | {
        "model_overview": {"model_creator": "SageMaker pipeline dpo"},
        "evaluation_details": [evaluation | {"evaluation_observation": f"{message} Ties before."}],
    }
    assert not value_problem(service().shape_for("ModelCardContent"), content)


def test_a_run_that_did_not_finish_or_was_damaged_is_an_error(forked, adapter: Path) -> None:
    weights, manifest = adapter / "adapter_model.safetensors", adapter / "manifest.json"
    whole = manifest.read_text()
    manifest.write_text(whole.replace('"steps_done": 10', '"steps_done": 7'))
    assert "training stopped after 7 of 10 steps" in gate(forked, adapter, 0.5).stderr
    manifest.write_text(whole)
    weights.write_bytes(b"other")
    assert "is not the file that training wrote" in gate(forked, adapter, 0.5).stderr
    weights.unlink()
    assert "is missing; the training job's upload is not whole" in gate(forked, adapter, 0.5).stderr
    manifest.unlink()
    done = gate(forked, adapter, 0.5)
    assert done.returncode == 1 and "without it the run did not finish" in done.stderr
    assert not (adapter.parent / "out").exists()
