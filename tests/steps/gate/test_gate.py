"""The gate: a whole run above the threshold passes, one below fails with the numbers, a torn one is an error."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from pipeline.checks.service_model import service, value_problem
from steps.gate.__main__ import CARD as CARD_FILE
from steps.gate.__main__ import REPORTS
from steps.train import data, registry_card, report

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


def gate(run, adapter: Path, threshold: float):
    words = ["--adapter", adapter, "--output", adapter.parent / "out", "--threshold", threshold]
    return run("-m", "steps.gate", *words, "--pipeline", "dpo")


@pytest.mark.parametrize(("threshold", "decision", "words"), [(0.85, "pass", "meets"), (0.9, "fail", "is below")])
def test_the_decision_carries_its_numbers(run, adapter: Path, threshold: float, decision: str, words: str) -> None:
    done = gate(run, adapter, threshold)
    assert done.returncode == 0, done.stderr
    written = json.loads((adapter.parent / "out" / "decision" / "gate.json").read_text())
    assert (written["decision"], written["max_lora_rank"]) == (decision, 32)
    assert (
        written["message"]
        == done.stdout.strip()
        == (
            f"Held-out reward accuracy 0.8500 {words} the threshold {threshold:g} "
            "(40 rows, 2 ties; 0.5000 before training)."
        )
    )
    assert written["summary"] == f"{decision}: reward accuracy 0.8500 threshold {threshold:g} rows 40"
    metadata = service().shape_for("CustomerMetadataMap").value
    assert not value_problem(metadata, written["summary"]) and value_problem(metadata, written["message"])


def test_what_is_served_is_the_adapter_and_what_people_read_stands_beside_the_decision(run, adapter: Path) -> None:
    assert gate(run, adapter, 0.5).returncode == 0
    out = adapter.parent / "out"
    served = out / "serving" / "adapters" / "dpo"
    assert sorted(path.name for path in (out / "serving").iterdir()) == ["adapters", "serving.properties"]
    assert (out / "serving" / "serving.properties").read_text() == "engine=Python\n"
    assert {path.name for path in served.iterdir()} == {path.name for path in adapter.iterdir()} - {"report.html"}
    assert (served / "adapter_model.safetensors").read_bytes() == b"weights"
    decision = {path.name for path in (out / "decision").iterdir()}
    assert decision == {"card.json", "evaluation.json", "gate.json", "report.html"}


def test_the_gate_knows_trainings_files_by_their_names() -> None:
    assert {report.PAGE, report.PICTURE, data.LEFT_OUT} < set(REPORTS)
    assert registry_card.CARD == CARD_FILE


def test_the_registrations_card_has_the_decision_and_who_made_it(run, adapter: Path) -> None:
    message = gate(run, adapter, 0.9).stdout.strip()
    content = json.loads((adapter.parent / "out" / "decision" / "card.json").read_text())["content"]
    (evaluation,) = CARD["evaluation_details"]
    assert json.loads(content) == CARD | {
        "model_overview": {"model_creator": "SageMaker pipeline dpo"},
        "evaluation_details": [evaluation | {"evaluation_observation": f"{message} Ties before."}],
    }
    assert not value_problem(service().shape_for("ModelCardContent"), content)


def test_a_run_that_did_not_finish_or_was_damaged_is_an_error(run, adapter: Path) -> None:
    weights, manifest = adapter / "adapter_model.safetensors", adapter / "manifest.json"
    whole = manifest.read_text()
    manifest.write_text(whole.replace('"steps_done": 10', '"steps_done": 7'))
    assert "training stopped after 7 of 10 steps" in gate(run, adapter, 0.5).stderr
    manifest.write_text(whole)
    weights.write_bytes(b"other")
    assert "is not the file that training wrote" in gate(run, adapter, 0.5).stderr
    weights.unlink()
    assert "is missing; the training job's upload is not whole" in gate(run, adapter, 0.5).stderr
    manifest.unlink()
    done = gate(run, adapter, 0.5)
    assert done.returncode == 1 and "without it the run did not finish" in done.stderr
    assert not (adapter.parent / "out").exists()
