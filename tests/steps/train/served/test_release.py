"""The trained model is freed before another form of it is loaded."""

from __future__ import annotations

import weakref
from pathlib import Path

from steps.train.loop.trainer import PairTrainer
from steps.train.served.release import release
from tests.steps.train.trainers import trainer_here


def test_nothing_keeps_a_trained_4_bit_model_alive(tiny_model: Path, pairs: Path, tmp_path: Path) -> None:
    """Not the trainer, its optimizer, what accelerate prepared, or the forwards that were bound to the model."""
    trainer: PairTrainer = trainer_here(
        tiny_model, pairs, tmp_path / "checkpoints", 16, load_in_4bit=True, max_steps=1, precompute_ref_log_probs=False
    )
    trainer.train()
    weights = [weakref.ref(parameter) for parameter in trainer.model.parameters()]
    states = [weakref.ref(value) for state in trainer.optimizer.state.values() for value in state.values()]
    assert any(type(one()).__name__ == "Params4bit" for one in weights) and states
    release(trainer)
    assert [one for one in (*weights, *states) if one() is not None] == []
    assert trainer.state.global_step == 1
