"""Part 4: where one optimizer step's time goes: its kernels, the launches of a layer, the share of dequantisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.profiler import ProfilerActivity

from steps.train.rows.tokenise import Pair
from tests.gpu.table import Result

PART = "4 profile"
TOP = 10
LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx")
DEQUANTISES = ("dequantize", "dequantise")


def of_step(trainer: Any, pairs: Sequence[Pair], layers: int, what: str) -> list[Result]:
    """Profile one forward and backward pass of the trainer's first batch, without the optimizer's update."""
    there = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if there else [])]
    batch = trainer.data_collator([vars(pair) for pair in pairs[: trainer.args.per_device_train_batch_size]])
    trainer.model.train()
    inputs = trainer._prepare_inputs(batch)
    with torch.profiler.profile(activities=activities) as seen:
        with trainer.compute_loss_context_manager():
            loss = trainer.compute_loss(trainer.model, inputs)
        trainer.accelerator.backward(loss)
        if there:
            torch.cuda.synchronize()
    trainer.model.zero_grad()
    events = seen.key_averages()
    if there:
        kernels = [event for event in events if event.device_type == torch.autograd.DeviceType.CUDA]
        times = {event.key: event.self_device_time_total for event in kernels}
    else:
        times = {event.key: event.self_cpu_time_total for event in events}
    together = sum(times.values()) or 1.0
    launches = sum(event.count for event in events if event.key in LAUNCHES)
    dequantised = sum(spent for key, spent in times.items() if any(word in key.lower() for word in DEQUANTISES))
    summary = {"ms": together / 1000, "launches a layer": launches / layers, "dequantisation": dequantised / together}
    top = sorted(times.items(), key=lambda one: one[1], reverse=True)[:TOP]
    return [
        Result(PART, what, summary),
        *(Result(PART, f"{place}. {key[:70]}", {"share": spent / together})
          for place, (key, spent) in enumerate(top, 1)),
    ]  # fmt: skip
