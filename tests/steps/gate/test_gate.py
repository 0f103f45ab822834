"""The gate: a whole run passes or fails with the numbers, by threshold and by champion; a torn one is an error."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from pipeline.checks.service_model import service, value_problem
from steps.gate.__main__ import CARD as CARD_FILE
from steps.gate.__main__ import REPORTS, card_content, main
from steps.gate.judge import bedrock
from steps.merge import judged
from steps.shared import served_files
from steps.shared.contract import StepError
from steps.train.answers import write
from steps.train.results import picture_and_page, registry_card
from steps.train.rows import tokenise
from steps.train.served import probes
from tests.steps.gate.evaluation import NOT_JUDGED

CARD = {
    "intended_uses": {"risk_rating": "Unknown"},
    "evaluation_details": [{"name": "Held-out", "evaluation_observation": "Ties before."}],
}
FIGURES = {"rows": 40, "loss": 0.3, "reward_accuracy": 0.85, "reward_margin": 1.0, "ties": 2}
ANSWER = {
    "id": "a",
    "prompt": [{"role": "user", "content": "Hi"}],
    "expected": "text",
    "answers": {"base": {"text": "Go away."}, "candidate": {"text": "Hello!"}},
}


ROW, TOKENS = "a row of the data", [31, 7, 5, 902]


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "trained"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 24}')
    before = FIGURES | {"reward_accuracy": 0.5}
    (folder / "evaluation.json").write_text(json.dumps({"rows": 40, "before": before, "after": FIGURES}))
    (folder / "report.html").write_text(f"<p>{ROW}</p>")
    (folder / "probes.json").write_text(json.dumps([{"id": "a", "input_ids": TOKENS, "completion_at": 2}]))
    (folder / "answers.jsonl").write_text(f"{json.dumps(ANSWER)}\n")
    (folder / "model_card.json").write_text(json.dumps(CARD))
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    manifest = {"steps_planned": 10, "steps_done": 10, "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


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
            "(40 rows, 2 ties; 0.5000 before training). No champion: no champion was named." + NOT_JUDGED
        )
    )
    verdict = {"meets": "pass", "is below": "fail"}[words]
    assert [line.split() for line in done.stdout.splitlines()[:-1]] == [
        ["rule", "figure", "limit", "verdict"],
        ["rows", "40", "1", "pass"],
        ["accuracy", "0.85", f"{threshold:g}", verdict],
        ["champion", "-", "-0.02", "not", "judged"],
        ["served_drift", "-", "0.1", "not", "judged"],
        ["calls", "-", "0.05", "not", "judged"],
        ["calls_champion", "-", "0.05", "not", "judged"],
        ["degenerate", "-", "0.2", "not", "judged"],
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
    beside = {"report.html", "answers.jsonl", "probes.json"}
    assert {path.name for path in served.iterdir()} == {path.name for path in adapter.iterdir()} - beside
    assert (served / "adapter_model.safetensors").read_bytes() == b"weights"
    decision = {path.name for path in (out / "decision").iterdir()}
    assert decision == {"card.json", "evaluation.json", "gate.json", *beside}
    for text in (ROW, ANSWER["prompt"][0]["content"], json.dumps(TOKENS)):
        assert [path for path in (out / "decision").iterdir() if text in path.read_text()], text
        assert not [path for path in (out / "serving").rglob("*.*") if text in path.read_text()], text


def test_a_judge_is_asked_where_one_is_named_and_what_it_said_is_kept(
    adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def ask(here: object, model: str, question: str) -> bedrock.Reply:
        asked.append(question)
        mark = "A" if question.index("Hello") < question.index("Go away") else "B"
        return bedrock.Reply(f"[[{mark}]]", "end_turn", 9)

    monkeypatch.setattr(bedrock, "client", lambda: None)
    monkeypatch.setattr(bedrock, "ask", ask)
    given = ["--adapter", f"{adapter}", "--threshold", "0.5", "--pipeline", "dpo"]
    main([*given, "--output", f"{adapter.parent / 'plain'}"])
    assert not asked and not (adapter.parent / "plain" / "decision" / "judge.jsonl").exists()
    main([*given, "--output", f"{adapter.parent / 'out'}", "--judge", "the.judge"])
    decided = adapter.parent / "out" / "decision"
    written = json.loads((decided / "gate.json").read_text())
    assert len(asked) == 2 and (written["judge"]["wins"], written["judge"]["tokens"]) == (1, 18)
    assert json.loads((decided / "judge.jsonl").read_text())["verdict"] == "candidate"
    assert "fewer than 5 pairs cannot tell worse from chance" in written["message"]
    assert not list((adapter.parent / "out" / "serving").rglob("*.jsonl"))


@pytest.mark.parametrize("flag", ["--judge-max-pairs", "--judge-max-tokens"])
def test_a_bound_below_one_is_refused(adapter: Path, flag: str) -> None:
    given = ["--adapter", f"{adapter}", "--threshold", "0.5", "--pipeline", "dpo", "--output", f"{adapter.parent}"]
    with pytest.raises(StepError, match=f"{flag}: 0: must be at least 1"):
        main([*given, flag, "0"])


def test_a_message_that_is_too_long_for_a_card_is_cut() -> None:
    content = json.loads(card_content(CARD, "x" * 3000, "dpo"))
    (evaluation,) = content["evaluation_details"]
    assert len(evaluation["evaluation_observation"]) == 2096


def test_the_gate_knows_trainings_files_by_their_names() -> None:
    kept_apart = {picture_and_page.PAGE, picture_and_page.PICTURE, tokenise.LEFT_OUT, write.FILE, probes.FILE}
    assert kept_apart < set(REPORTS)
    assert judged.PROBES == probes.FILE
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
