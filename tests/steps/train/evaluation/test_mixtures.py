"""An adapter that a training wrote for a mixture of experts is continued from, and compared with, as a dense one is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from tests.families import save_family
from tests.forks.client import Forked
from tests.steps.train.conftest import ONE_THREAD, training

SHORT = {
    "fsdp": "false", "max_steps": 2, "save_steps": 9, "logging_steps": 1, "per_device_train_batch_size": 2,
    "learning_rate": 1e-2,
}  # fmt: skip


@pytest.fixture
def train_mixture(fork: Callable[..., Forked], tiny_model: Path, pairs: Path, tmp_path: Path) -> Callable[..., str]:
    """`train_mixture(name, ranks, key=value, …)`: train a tiny Qwen3-MoE into the folder `name`, and what was said."""
    base = save_family("qwen3_moe", tmp_path / "base", tiny_model)

    def call(name: str, ranks: int = 0, **arguments: object) -> str:
        words = training(base, pairs, tmp_path / name, **SHORT | arguments)
        done = fork(*words, ranks=ranks, **ONE_THREAD).completed()
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call


def compared(folder: Path) -> dict:
    return json.loads((folder / "evaluation.json").read_text())["champion"]


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [0, pytest.param(2, marks=pytest.mark.families)])
def test_a_mixtures_own_adapter_is_continued_and_compared(
    train_mixture: Callable[..., str], tmp_path: Path, ranks: int
) -> None:
    sharded = {"fsdp": "true"} if ranks else {}
    first = tmp_path / "first"
    train_mixture("first", ranks, **sharded)
    config = json.loads((first / "adapter_config.json").read_text())
    assert config["rank_pattern"] and config["target_parameters"] == ["down_proj", "gate.weight", "gate_up_proj"]
    (first / "evaluation.json").unlink()  # else the champion's own margins are taken
    said = train_mixture("second", ranks, initial_adapter=first, champion=first, **sharded)
    assert "continuing from the adapter" in said
    found = compared(tmp_path / "second")
    assert found["compared"] and found["source"] == "evaluated"
    # The reference is the champion: what the candidate gained on it is the margin that training measured.
    after = json.loads((tmp_path / "second" / "evaluation.json").read_text())["after"]
    gain = found["candidate"]["reward_margin"] - found["champion"]["reward_margin"]
    assert gain == pytest.approx(after["reward_margin"], abs=1e-3)
    before, now = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("first", "second"))
    assert before.keys() == now.keys()
    assert all(not before[name].equal(now[name]) for name in before if ".experts." in name)


@pytest.mark.slow
@pytest.mark.families
def test_a_mixtures_adapter_of_another_form_is_not_compared(train_mixture: Callable[..., str], tmp_path: Path) -> None:
    train_mixture("first")
    first = tmp_path / "first"
    (first / "evaluation.json").unlink()
    train_mixture("second", champion=first, lora_r=8, lora_alpha=16)
    assert "compared only where this model's adapter is of its form" in compared(tmp_path / "second")["reason"]
    file = first / "adapter_model.safetensors"
    tensors = load_file(file)
    save_file({name: tensor for name, tensor in tensors.items() if ".experts." in name}, file)
    train_mixture("third", champion=first)
    assert "holds 8 tensors, the model's adapter has" in compared(tmp_path / "third")["reason"]
