"""Throughput and GPU figures at every logging step: each rank measures itself, rank 0 gets them all.

A callback that adds its figures to the log entry, so that metric lines, history and trackers show the same ones.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from steps.train.loop.trainer import PairTrainer
from steps.train.metrics import throughput
from steps.train.metrics.gpu import GpuSampler, open_sampler
from steps.train.metrics.throughput import Counts, RankFigures
from steps.train.model.shape import ModelShape, UnknownModel, shape
from steps.train.runtime import ranks


class SystemFigures(TrainerCallback):
    """Must be added before the callbacks that evaluate or read the log: their time is not the steps' time."""

    def __init__(self, trainer: PairTrainer):
        self.trainer = trainer
        self.shape: ModelShape | None = None
        with contextlib.suppress(UnknownModel):  # the preflight has said so; there is no MFU then
            self.shape = shape(trainer.accelerator.unwrap_model(trainer.model).config.to_dict())
        self.peak: float | None = None
        self.sampler: GpuSampler | None = None
        self.steps, self.seconds, self.started = 0, 0.0, time.perf_counter()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if torch.cuda.is_available():
            device = torch.cuda.current_device()
            self.peak = throughput.peak_flops(torch.cuda.get_device_name(device))
            self.sampler = open_sampler(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        self.started = time.perf_counter()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()  # otherwise the last backward pass would still be running, and not be counted
        now = time.perf_counter()
        self.steps, self.seconds, self.started = self.steps + 1, self.seconds + now - self.started, now

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        if logs is not None and "loss" in logs:  # the same on all ranks, which take part together
            found = ranks.gather(self._mine())
            logs |= throughput.whole(found) | throughput.all_gpus(found) | throughput.per_gpu(found)
        self.started = time.perf_counter()  # an evaluation ends with a log entry

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.started = time.perf_counter()

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.sampler:
            self.sampler.stop()

    def _mine(self) -> RankFigures:
        counts: Counts = self.trainer.counter.take()
        given = self.trainer.arguments
        cost = None
        if self.shape:
            cost = throughput.flops(
                self.shape, given.lora_r, given.target_modules, counts,
                reference_pass=not given.precompute_ref_log_probs,
            )  # fmt: skip
        steps, seconds, self.steps, self.seconds = self.steps, self.seconds, 0, 0.0
        node = int(os.environ.get("GROUP_RANK", "0"))  # torchrun's number of the node
        device = self.sampler.index if self.sampler else self._cuda_index()
        gpu = self.sampler.take() if self.sampler else {}
        return RankFigures(node, device, steps, seconds, counts, cost, self.peak, gpu)

    def _cuda_index(self) -> int | None:
        return torch.cuda.current_device() if torch.cuda.is_available() else None
