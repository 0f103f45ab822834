"""The gate: a whole run above the threshold passes, one below fails with the numbers, a torn one is an error."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

FIGURES = {"rows": 40, "loss": 0.3, "reward_accuracy": 0.85, "reward_margin": 1.0, "ties": 2}


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "trained"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 24}')
    before = FIGURES | {"reward_accuracy": 0.5}
    (folder / "evaluation.json").write_text(json.dumps({"rows": 40, "before": before, "after": FIGURES}))
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    manifest = {"steps_planned": 10, "steps_done": 10, "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def gate(run, adapter: Path, threshold: float):
    return run("-m", "steps.gate", "--adapter", adapter, "--output", adapter.parent / "out", "--threshold", threshold)


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
    copied = {path.name for path in (adapter.parent / "out" / "adapter").iterdir()}
    assert copied == {path.name for path in adapter.iterdir()}


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
