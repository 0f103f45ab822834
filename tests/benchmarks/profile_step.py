"""Where an optimizer step of Train spends its time on a CPU, by part.

    python -m tests.benchmarks.profile_step [--rows FILE] [--count 120] [--steps 3] [--passes 3] [--padded]
        [--float32]

Trains on the first `count` rows as Train does by default (NF4 + LoRA in bfloat16, pairs of a prompt together, steps of
4 pairs times `passes`) in this process, on the random model of `tests.benchmarks.share_prompts`, under torch's
profiler. The first step is left out. Every operation counts to the innermost part that it was called in, forward; one
of the backward pass to that of the operation whose gradient it computes. What a part's own Python takes between its
operations is shown apart.

Prints a line a part: its share of the step's time, and the share that is Python. The profiler itself slows a step down
(by how much, is said) and Python more than operations: the shares of Python are upper limits.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.autograd.profiler import record_function
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile
from transformers import TrainerCallback

from tests.benchmarks.share_prompts import DEFAULT_ROWS, PAIRS, PASSES, build_model, prepare_rows
from tests.steps.train.trainers import trainer_here

MARK = "part: "
BASE, LORA, ATTENTION, REST = "base matmuls", "LoRA", "attention, rotary", "norms, activations, embedding"
HEAD, OPTIMIZER, DEQUANTISED = "LM head, log-softmax, loss (TRL)", "optimizer", "dequantisation"
STEP, BATCHES, CALLBACKS, CLIPPED = "trainer (transformers, accelerate)", "batches", "callbacks", "gradient norm"
BACKWARD = "autograd::engine::evaluate_function: "
GRADIENTS = "gradients added up"


@dataclass
class Step:
    """Seconds of a part: in operations, and in Python between them."""

    operations: float = 0.0
    python: float = 0.0


@dataclass
class Window(TrainerCallback):
    """Profiles the steps after the first, from the beginning of the second to that of the last but one's successor."""

    steps: int
    before: list[float] = field(default_factory=list)
    profiler: Any = None
    seconds: float = 0.0

    def on_step_begin(self, _: Any, state: Any, control: Any, **__: Any) -> None:
        if state.global_step == 1 + self.steps:  # as many steps without the profiler before
            self.profiler = profile(activities=[ProfilerActivity.CPU])
            self.profiler.start()
        if state.global_step == 1 + 2 * self.steps:
            self.profiler.stop()
        self.before.append(time.perf_counter())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, default=DEFAULT_ROWS)
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--passes", type=int, default=PASSES)
    parser.add_argument("--padded", action="store_true")
    parser.add_argument("--float32", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        build_model(folder / "model", 4096)
        prepare_rows(asked.rows, asked.count, folder)
        ways = {"share_prompts": not asked.padded, "bf16": not asked.float32, "load_in_4bit": not asked.float32}
        trainer = trainer_here(
            folder / "model", folder / "pairs", folder / "out", rows=asked.count, lora_r=16,
            per_device_train_batch_size=PAIRS, gradient_accumulation_steps=asked.passes, lora_dropout=0.0,
            group_by_prompt=not asked.padded, max_tokens_per_batch=None if asked.padded else 4096,
            precompute_ref_log_probs=False, max_steps=2 * asked.steps + 2, **ways,
        )  # fmt: skip
        window = Window(asked.steps)
        trainer.add_callback(window)
        mark_parts(trainer)
        trainer.train()
    show(window, parts(window.profiler.events()))


def mark_parts(trainer: Any) -> None:
    """Have the profiler see in which part an operation is called."""
    from peft.tuners.lora.layer import LoraLayer

    for name, module in trainer.model.named_modules():
        if name.endswith("base_layer"):
            mark_module(module, BASE)
        elif isinstance(module, LoraLayer):
            mark_module(module, LORA)
        elif name.endswith(("self_attn", "rotary_emb")):
            mark_module(module, ATTENTION)
    mark_module(trainer.model.get_base_model().base_model, REST)
    marked: Iterable[tuple[Any, str, str]] = (
        (trainer, "compute_loss", HEAD), (trainer, "training_step", STEP), (trainer, "_prepare_inputs", BATCHES),
        (trainer, "data_collator", BATCHES), (trainer.callback_handler, "call_event", CALLBACKS),
        (trainer.accelerator, "clip_grad_norm_", CLIPPED),
    )  # fmt: skip
    for owner, method, part in marked:
        setattr(owner, method, within(getattr(owner, method), part))


def within(function: Callable[..., Any], part: str) -> Callable[..., Any]:
    def call(*words: Any, **named: Any) -> Any:
        with record_function(MARK + part):
            return function(*words, **named)

    return call


def mark_module(module: torch.nn.Module, part: str) -> None:
    module.forward = within(module.forward, part)  # type: ignore[method-assign]


def parts(events: Iterable[FunctionEvent]) -> dict[str, Step]:
    """Seconds of each part, from the profiler's events."""
    events = [event for event in events if event.device_type == torch.autograd.DeviceType.CPU]
    # A node of the backward pass has the number of the last operation that was called under it, forward.
    forward = {event.sequence_nr: event for event in events if event.sequence_nr >= 0 and not backward_of(event)}
    found: dict[str, Step] = defaultdict(Step)
    for event in events:
        seconds = event.self_cpu_time_total / 1e6
        node = backward_of(event)
        origin = forward.get(node.sequence_nr) if node else event
        part = part_of(origin) if origin else GRADIENTS
        if dequantises(event):
            found[DEQUANTISED].operations += seconds
        elif event.name.startswith(MARK):
            found[part].python += seconds
        else:
            found[part].operations += seconds
    return dict(found)


def backward_of(event: FunctionEvent | None) -> FunctionEvent | None:
    """The node of the backward pass that an event is part of."""
    while event is not None and not event.name.startswith(BACKWARD):
        event = event.cpu_parent
    return event


def dequantises(event: FunctionEvent | None) -> bool:
    while event is not None and "dequantize" not in event.name.lower():
        event = event.cpu_parent
    return event is not None


def part_of(event: FunctionEvent | None) -> str:
    while event is not None:
        if event.name.startswith(MARK):
            return event.name.removeprefix(MARK)
        if event.name.startswith("Optimizer."):
            return OPTIMIZER
        event = event.cpu_parent
    return STEP


def show(window: Window, found: dict[str, Step]) -> None:
    begun = window.before
    plain = (begun[1 + window.steps] - begun[1]) / window.steps
    profiled = (begun[1 + 2 * window.steps] - begun[1 + window.steps]) / window.steps
    seen = sum(part.operations + part.python for part in found.values()) / window.steps
    found[STEP].python += max(profiled - seen, 0.0) * window.steps  # between the operations that no part is around
    print(f"a step: {plain:.2f} s, under the profiler {profiled:.2f} s")
    whole = profiled * window.steps
    for name, part in sorted(found.items(), key=lambda one: -one[1].operations - one[1].python):
        print(f"{name:<40} {(part.operations + part.python) / whole:6.1%}   Python {part.python / whole:6.1%}")


if __name__ == "__main__":
    main()
