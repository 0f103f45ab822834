"""Part 2: the real Train step in NF4 with LoRA against TRL's own trainer, and against packing with less sharing.

All train on the same tokens of the same rows, from the same random base, with the same number of pairs a step. TRL's
trainer is the one that `trl dpo` starts, handed rows that are tokenised already. Every way loads the base anew.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback

from steps.train.arguments import TrainArguments
from steps.train.metrics import throughput
from steps.train.model.load import attention_implementation
from steps.train.model.shape import known_shape
from steps.train.preflight.memory import GIB, estimate
from steps.train.rows.tokenise import Pair
from tests.gpu import made, profile, ways
from tests.gpu.clock import Deadline
from tests.gpu.sizes import Rows, Sizes
from tests.gpu.table import Result, failed

PART = "2 step"
WARM_UP = 2  # steps before those that are timed: kernels are chosen, memory is reserved
LONGEST = 45  # seconds of one way with the largest model
OURS, TRL, NOT_SHARED, WITHIN = "train", "trl dpo", "packed, not shared", "shared within a pair"
WAYS = {OURS: None, TRL: None, NOT_SHARED: ways.without_sharing, WITHIN: ways.within_a_pair}
TARGETS = {("when2call", TRL): 4.0, ("chat", TRL): 2.0, ("when2call", WITHIN): 1.3}
MFU = 0.35  # of the largest model
ESTIMATE = 1.10  # of the peak at most, and never below it


class Clock(TrainerCallback):
    """The moments at which steps ended, when the device had done them."""

    def __init__(self, trainer: Any) -> None:
        self.trainer, self.ends, self.counted = trainer, [], 0

    def on_step_end(self, *_: Any, **__: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())
        if len(self.ends) == WARM_UP:
            self.trainer.counter.take()


@dataclass(frozen=True)
class Measured:
    """
    Attributes:
        seconds: of a step, the median.
        tokens, flops: of a step on average: tokens of both answers' whole sequences.
        peak: bytes that torch had reserved at most, with the base's loading; 0 without a GPU.
    """

    pairs: int
    seconds: float
    tokens: float
    flops: float | None
    peak: int

    def figures(self) -> dict[str, float | str]:
        found: dict[str, float | str] = {
            "pairs/s": self.pairs / self.seconds, "tokens/s": self.tokens / self.seconds, "s a step": self.seconds,
        }  # fmt: skip
        limit = throughput.peak_flops(torch.cuda.get_device_name()) if torch.cuda.is_available() else None
        if self.flops and limit:
            found["MFU"] = self.flops / self.seconds / limit
        return found | ({"peak GiB": self.peak / GIB} if self.peak else {})


def measure(sizes: Sizes, folder: Path, deadline: Deadline) -> Iterator[Result]:
    # Elsewhere than on a GPU the figures say nothing, and nothing is asked of them.
    largest = list(sizes.models)[-1] if torch.cuda.is_available() else None
    for model, (model_type, config) in sizes.models.items():
        deadline.check()
        path = made.model(model_type, config, folder / model)
        for name, rows in sizes.rows.items():
            yield from _compared(f"{model}, {name}", name, path, rows, sizes, folder, deadline, model == largest)


def _compared(
    what: str, name: str, model: Path, rows: Rows, sizes: Sizes, folder: Path, deadline: Deadline, judged: bool
) -> Iterator[Result]:
    vocabulary = _vocabulary(model)
    pairs_a_step = sizes.pairs * sizes.passes
    pairs = made.pairs(rows, pairs_a_step * (WARM_UP + rows.steps + 1), vocabulary)
    ours: Measured | None = None
    for way, how in WAYS.items():
        deadline.check(LONGEST if torch.cuda.is_available() else 0)
        shares = rows.pairs_a_prompt > 1 and way == OURS
        arguments = TrainArguments(
            model_id=str(model), fsdp=False, bf16=True, lora_r=16, learning_rate=1e-5, max_length=4096,
            attn_implementation="auto" if way != TRL else "sdpa", per_device_train_batch_size=sizes.pairs,
            gradient_accumulation_steps=sizes.passes, max_steps=WARM_UP + rows.steps, warmup_steps=0, logging_steps=1,
            save_steps=10_000, max_tokens_per_batch=sizes.budget if way == OURS else None, group_by_prompt=shares,
        )  # fmt: skip
        try:
            with ways.packed_by(how) if how else nullcontext():
                found, results = _trained(arguments, pairs, folder / "out", way, f"{what}: {way}")
        except Exception as error:  # a way that does not fit, or does not run here, costs no other row
            yield failed(PART, f"{what}: {way}", error)
            made.forget()
            continue
        if way == OURS:
            ours = found
        figures, target, met = found.figures(), "", None
        if way != OURS and ours:
            times = found.seconds / ours.seconds
            figures["train is times as fast"] = times
            if judged and (name, way) in TARGETS:
                target, met = f"at least {TARGETS[name, way]}", times >= TARGETS[name, way]
        elif way == OURS and judged and "MFU" in figures:
            target, met = f"MFU at least {MFU}", float(figures["MFU"]) >= MFU
        yield Result(PART, f"{what}: {way}", figures, target, met)
        yield from results
        made.forget()


def _vocabulary(model: Path) -> int:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(model).vocab_size


def _trained(
    arguments: TrainArguments, pairs: Sequence[Pair], folder: Path, way: str, what: str
) -> tuple[Measured, list[Result]]:
    """Train; for this project's own way also the estimate of its memory beside the peak, and the profile of a step."""
    trainer = ways.trainer(arguments, pairs, folder, stock=way == TRL)
    clock = Clock(trainer)
    trainer.add_callback(clock)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    gaps = [later - earlier for earlier, later in pairwise(clock.ends[WARM_UP - 1 :])]
    counts = trainer.counter.take()
    steps = len(gaps)
    shape, _ = known_shape(arguments)
    assert shape is not None
    peak = torch.cuda.max_memory_reserved() if torch.cuda.is_available() else 0
    flops = throughput.flops(shape, arguments.lora_r, arguments.target_modules, counts) / steps
    each = arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps
    measured = Measured(each, statistics.median(gaps), counts.tokens / steps, flops, peak)
    more = []
    if way == OURS:
        longest = max(pair.tokens for pair in pairs)
        expected = estimate(arguments, shape, attention=attention_implementation(arguments), length=longest).peak.bytes
        more.append(_estimated(what, expected, peak))
        more += profile.of_step(trainer, pairs, shape.layers, what)
    return measured, more


def _estimated(what: str, expected: int, peak: int) -> Result:
    figures: dict[str, float | str] = {"estimate GiB": expected / GIB}
    if not peak:
        return Result("3 estimate", what, figures)
    free, total = torch.cuda.mem_get_info()
    context = total - free - torch.cuda.memory_reserved()  # what the process holds beside torch's memory
    ratio = expected / (peak + context)
    figures |= {"peak with context GiB": (peak + context) / GIB, "ratio": ratio}
    return Result("3 estimate", what, figures, f"1 to {ESTIMATE}", 1 <= ratio <= ESTIMATE)
