"""Runs that end before their last step: for figures that went wrong, and for want of gain."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from steps.shared.contract import StepError
from steps.train.arguments import TrainArguments
from steps.train.loop.early_end import StopOnBadFigures, StopWithoutGain


def log(*entries: dict[str, float], **arguments: float) -> None:
    """Show a run's log entries to the callback, one a step."""
    callback = StopOnBadFigures(TrainArguments(model_id="m", **arguments))
    for step, entry in enumerate(entries, 1):
        callback.on_log(None, SimpleNamespace(global_step=step), None, entry)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_the_run(loss: float) -> None:
    with pytest.raises(StepError, match=rf"stopped at step 2: the loss is {loss}; lower learning_rate.*are kept"):
        log({"loss": 0.69}, {"loss": loss})


def test_an_exploding_gradient_ends_the_run_and_a_large_one_does_not() -> None:
    usual = [{"grad_norm": 1.0 + step / 10} for step in range(5)]
    log(*usual, {"grad_norm": 900.0})
    log(*usual[:4], {"grad_norm": 1e9})  # too early to say what is usual
    with pytest.raises(StepError, match=r"step 6: .*norm is 1.3e\+03, over 1000 times what it was \(1.2\)"):
        log(*usual, {"grad_norm": 1300.0})
    with pytest.raises(StepError, match="the gradient's norm is nan"):
        log({"grad_norm": math.nan})


def test_a_model_that_learns_to_prefer_the_rejected_answers_ends_the_run() -> None:
    bad = {"rewards/accuracies": 0.05}
    log(*[bad] * 4)
    log(*[bad] * 4, {"rewards/accuracies": 0.9}, *[bad] * 4)
    with pytest.raises(StepError, match=r"last 5 log entries is 0.050, below 0.1: .*are chosen and rejected swapped"):
        log(*[bad] * 5)
    log(*[bad] * 9, stop_reward_accuracy=0)


def follow(metric: str, values: list[float], patience: int, min_delta: float = 0.0) -> tuple[int, dict]:
    """Show evaluations to early stopping, one a step; returns the step of its end and the best evaluation."""
    arguments = TrainArguments(
        model_id="m", eval_steps=1, early_stopping_patience=patience, early_stopping_metric=metric,
        early_stopping_min_delta=min_delta,
    )  # fmt: skip
    held_out = SimpleNamespace(evaluated_at=None, after=None)
    trainer = SimpleNamespace(arguments=arguments, marker=SimpleNamespace(facts={}))
    callback = StopWithoutGain(trainer, held_out)
    for step, value in enumerate(values, 1):
        held_out.evaluated_at, held_out.after = step, SimpleNamespace(**{metric.removeprefix("eval_"): value})
        control = SimpleNamespace(should_save=False, should_training_stop=False)
        state = SimpleNamespace(global_step=step, max_steps=99, is_world_process_zero=True)
        callback.on_step_end(None, state, control)
        assert control.should_save == control.should_training_stop or callback.best["step"] == step
        if control.should_training_stop:
            return step, callback.best
    return 99, callback.best


def test_early_stopping_waits_for_its_patience_and_remembers_the_best() -> None:
    assert follow("eval_loss", [0.6, 0.5, 0.52, 0.49, 0.5, 0.5, 0.4], 2) == (6, {"step": 4, "value": 0.49, "since": 2})
    assert follow("eval_reward_accuracy", [0.5, 0.6, 0.6, 0.7], 1) == (3, {"step": 2, "value": 0.6, "since": 1})
    assert follow("eval_loss", [0.6, 0.55, 0.5], 2, min_delta=0.2) == (3, {"step": 1, "value": 0.6, "since": 2})
    assert follow("eval_reward_margin", [0.1, 0.2, 0.3], 1)[0] == 99


@pytest.mark.slow
def test_the_best_checkpoint_is_the_result_on_a_node_that_does_not_have_it(start_on_nodes, tmp_path: Path) -> None:
    output, other = tmp_path / "out", tmp_path / "out-1"
    done = start_on_nodes(
        output, max_steps=30, logging_steps=1, eval_steps=1, early_stopping_patience=2, early_stopping_min_delta=10,
        save_total_limit=1,
    ).completed()  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "stopped at step 3 of 30: eval_loss has not gained since step 1" in done.stdout
    assert other.is_dir() and not list(other.rglob("*.safetensors"))
    best = output / "checkpoints" / "checkpoint-1" / "adapter_model.safetensors"
    # Each node has half of every matrix: the file and the figures are the best ones where both took it.
    assert (output / "adapter_model.safetensors").read_bytes() == best.read_bytes()
    history = json.loads((output / "history.json").read_text())
    losses = {entry["step"]: entry["eval_loss"] for entry in history if "eval_loss" in entry}
    assert json.loads((output / "evaluation.json").read_text())["after"]["loss"] == pytest.approx(losses[1], rel=1e-12)
    assert {entry["step"] for entry in history if "loss" in entry} == set(range(1, 4))  # evaluations hide no step
