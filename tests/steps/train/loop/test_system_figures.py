"""The callback that adds throughput to a log entry: the steps' time only, MFU where the device is known."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoConfig

from steps.train.arguments import TrainArguments
from steps.train.loop.system_figures import SystemFigures
from steps.train.metrics import throughput
from steps.train.model.shape import shape
from tests.steps.train.models import LLAMA_BIASED

MASK = torch.tensor([[1, 1, 1], [1, 1, 0]])


def callback(config: Any) -> SystemFigures:
    trainer = SimpleNamespace(
        accelerator=SimpleNamespace(unwrap_model=lambda model: model),
        model=SimpleNamespace(config=config),
        counter=throughput.Counter(),
        arguments=TrainArguments(model_id="m"),
    )
    return SystemFigures(trainer)  # type: ignore[arg-type]


def log_after_a_step(figures: SystemFigures, evaluation_seconds: float = 0.0) -> dict[str, float]:
    figures.on_train_begin(None, None, None)
    figures.trainer.counter.add({"attention_mask": MASK, "completion_mask": MASK})
    time.sleep(0.05)
    figures.on_step_end(None, None, None)
    time.sleep(evaluation_seconds)
    figures.on_log(None, None, None, {"eval_loss": 0.6})
    logs = {"loss": 0.7}
    figures.on_log(None, None, None, logs)
    return logs


def test_the_time_of_an_evaluation_is_not_the_steps_time() -> None:
    logs = log_after_a_step(callback(AutoConfig.for_model(**LLAMA_BIASED)), evaluation_seconds=3.0)
    assert 0.05 <= logs["step_seconds"] < 3.0 and logs["tokens_per_step"] == 5
    assert logs["tokens_per_second"] == pytest.approx(5 / logs["step_seconds"])


def test_mfu_is_model_flops_a_second_over_the_peak() -> None:
    figures = callback(AutoConfig.for_model(**LLAMA_BIASED))
    figures.peak = 1e9
    logs = log_after_a_step(figures)
    counts = throughput.Counts(tokens=5, computed=6, needed=5, scored=5, squares=13)
    expected = throughput.flops(shape(LLAMA_BIASED), 16, ["all-linear"], counts) / logs["step_seconds"] / 1e9
    assert logs["mfu"] == pytest.approx(expected)


def test_a_model_of_unknown_shape_and_an_evaluation_have_no_mfu() -> None:
    figures = callback(AutoConfig.for_model("gpt2"))
    figures.peak = 1e9
    assert "mfu" not in log_after_a_step(figures)
    evaluation = {"eval_loss": 0.6}
    figures.on_log(None, None, None, evaluation)
    assert evaluation == {"eval_loss": 0.6}
