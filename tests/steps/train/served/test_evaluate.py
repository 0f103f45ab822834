"""A trained adapter on the unquantised base: evaluated in the trained model's place, alone and sharded."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.forks.client import Forked
from tests.steps.train.trainers import save_adapter

pytestmark = pytest.mark.slow
SERVED = {"max_steps": 6, "save_steps": 3, "logging_steps": 1, "evaluate_served": "auto"}
SMALL_DRIFT = 0.05  # nats a token: what NF4 does to a model of half a million weights


def evaluation(output: Path) -> dict[str, Any]:
    return json.loads((output / "evaluation.json").read_text())


@pytest.fixture(scope="module")
def champion(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("champion") / "adapter"
    return save_adapter(tiny_model, folder, r=8, lora_alpha=12, target_modules=["q_proj", "down_proj"])


@pytest.fixture(scope="module")
def sharded(train, champion: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """FSDP2 + NF4 over two processes, then the served form, with a champion: its output folder and its log."""
    output = tmp_path_factory.mktemp("sharded") / "out"
    done = train(output, 2, champion=champion, champion_version="3", **SERVED)
    assert done.returncode == 0, done.stdout + done.stderr
    return output, done.stdout


def test_both_forms_are_there_and_how_far_they_are_apart(sharded: tuple[Path, str]) -> None:
    output, log = sharded
    found = evaluation(output)
    served = found["served"]
    assert (served["evaluated"], served["reason"], served["same"]) == (True, None, False)
    assert served["form"] == "the base in float32 with the adapter"
    assert served["before"]["ties"] == served["before"]["rows"] == found["rows"]
    assert [row["id"] for row in served["margins"]] == [row["id"] for row in found["margins"]]
    assert served["margins"] != found["margins"]
    apart = served["drift"]
    assert 0 < apart["log_prob_per_token"] < SMALL_DRIFT
    assert "as served: FSDP2: " in log and "parameter bytes on each of 2 ranks" in log
    assert apart["accuracy"] == pytest.approx(served["after"]["reward_accuracy"] - found["after"]["reward_accuracy"])
    assert f"({served['after']['reward_accuracy']:.3f} as served)" in log.splitlines()[-1]


def test_the_champion_is_compared_as_served(sharded: tuple[Path, str]) -> None:
    found = evaluation(sharded[0])
    section, after = found["champion"], found["served"]["after"]
    assert (section["compared"], section["form"], section["source"]) == (True, "served", "evaluated")
    assert section["candidate"]["reward_margin"] == pytest.approx(after["reward_margin"])


def test_the_served_form_is_what_peft_makes_of_the_files_in_their_own_dtype(
    sharded: tuple[Path, str], tiny_model: Path
) -> None:
    """Row by row: the probes' log-probabilities come out of a plain load of the base with the written adapter."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, str(sharded[0])).eval()
    assert "probes" not in evaluation(sharded[0])["served"]  # which is served, and they are rows of the data
    probes = json.loads((sharded[0] / "probes.json").read_text())
    assert len(probes) == 4
    for probe in probes:
        ids = torch.tensor([probe["input_ids"]])
        with torch.no_grad():
            every = model(ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]
        assert float(every[probe["completion_at"] - 1 :].sum()) == pytest.approx(probe["log_prob"], abs=1e-3)


def test_one_process_finds_what_two_find(train, sharded: tuple[Path, str], tmp_path: Path) -> None:
    """The checkpoints of two processes, judged by one."""
    shutil.copytree(sharded[0] / "checkpoints", tmp_path / "out" / "checkpoints")
    done = train(tmp_path / "out", 0, fsdp="false", gradient_accumulation_steps=2, **SERVED)
    assert done.returncode == 0, done.stdout + done.stderr
    served = evaluation(tmp_path / "out")["served"]
    assert served["evaluated"] and served["before"]["ties"] == served["before"]["rows"]


def test_an_unquantised_training_has_nothing_more_to_load(train, tmp_path: Path) -> None:
    done = train(tmp_path / "out", 0, fsdp="false", load_in_4bit="false", **SERVED | {"max_steps": 2})
    assert done.returncode == 0, done.stdout + done.stderr
    found = evaluation(tmp_path / "out")
    served = found["served"]
    assert (served["evaluated"], served["same"], served["drift"]["share_changed"]) == (True, True, 0.0)
    assert "margins" not in served and served["after"] == found["after"]
    assert len(json.loads((tmp_path / "out" / "probes.json").read_text())) == 4
    assert "as served)" not in done.stdout


def test_after_sigterm_the_next_start_judges_again_and_trains_no_further(
    start_training, sharded: tuple[Path, str], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    shutil.copytree(sharded[0] / "checkpoints", output / "checkpoints")  # of its last step
    process: Forked = start_training(output, 2, **SERVED)
    until = time.monotonic() + 240
    while not (output / "adapter_model.safetensors").is_file():  # written before anything is freed
        assert process.poll() is None and time.monotonic() < until, process.stdout()
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(240) == 1, process.stdout()
    assert not (output / "manifest.json").exists()
    done = start_training(output, 2, **SERVED).completed()
    assert done.returncode == 0 and "continuing from checkpoint-6" in done.stdout, done.stdout + done.stderr
    assert (output / "adapter_model.safetensors").read_bytes() == (
        sharded[0] / "adapter_model.safetensors"
    ).read_bytes()
    assert evaluation(output)["served"]["margins"] == evaluation(sharded[0])["served"]["margins"]
