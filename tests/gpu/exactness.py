"""Part 1: log-probabilities and gradients of packed rows beside those of padded ones, in bfloat16 and in float32.

The yardstick is the padded batch in float32 on the same base (in NF4 where it is): a packed row in bfloat16 may be as
far from it as a padded one in bfloat16 is.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from steps.train.arguments import TrainArguments
from steps.train.rows.tokenise import Pair
from tests.gpu import made, ways
from tests.gpu.sizes import Sizes
from tests.gpu.table import Result, failed
from tests.steps.train.trainers import randomise

PART = "1 attention"
NO_FARTHER = 1.5  # times as far from float32 as a padded batch is


@dataclass(frozen=True)
class Seen:
    """Of one way to compute the same pairs: each answer's log-probability in nats, and the adapter's gradients."""

    log_probs: torch.Tensor
    gradients: torch.Tensor

    def apart(self, exact: Seen, tokens: float) -> dict[str, float]:
        gradients = (self.gradients - exact.gradients).norm() / exact.gradients.norm()
        nats = (self.log_probs - exact.log_probs).abs().max() / tokens
        return {"nats a token": float(nats), "gradient apart": float(gradients)}


def measure(sizes: Sizes, folder: Path) -> Iterator[Result]:
    for name, (model_type, config) in sizes.families.items():
        path = made.model(model_type, config, folder / model_type)
        rows = made.pairs(sizes.rows["when2call"], sizes.compared, config["vocab_size"])
        for four_bits in (False, True):
            yield from _compared(f"{name}, {'NF4' if four_bits else 'no NF4'}", path, rows, folder, four_bits)


def _compared(what: str, model: Path, rows: Sequence[Pair], folder: Path, four_bits: bool) -> Iterator[Result]:
    tokens = sum(map(len, (side for pair in rows for side in (pair.chosen_ids, pair.rejected_ids)))) / 2 / len(rows)

    def seen(bf16: bool, kernel: str | None) -> Seen:
        arguments = TrainArguments(
            model_id=str(model), fsdp=False, load_in_4bit=four_bits, bf16=bf16, share_prompts=kernel is not None,
            attn_implementation="sdpa", gradient_checkpointing=False, per_device_train_batch_size=len(rows),
            max_length=4096,
        )  # fmt: skip
        return _seen(ways.trainer(arguments, rows, folder / "out"), rows, kernel)

    exact = seen(False, None)
    yield Result(PART, f"{what}, float32, packed_sdpa", seen(False, "packed_sdpa").apart(exact, tokens))
    padded = seen(True, None).apart(exact, tokens)
    yield Result(PART, f"{what}, bfloat16, padded", padded)
    for kernel in _kernels():
        row, target = f"{what}, bfloat16, {kernel}", f"at most {NO_FARTHER} times padded"
        try:
            packed = seen(True, kernel).apart(exact, tokens)
        except Exception as error:  # one kernel that this machine cannot run costs no other row
            yield failed(PART, row, error)
            continue
        yield Result(PART, row, packed, target, all(packed[one] <= NO_FARTHER * padded[one] for one in padded))


def _kernels() -> list[str]:
    """Those that this machine can run."""
    if not torch.cuda.is_available():
        return ["packed_sdpa"]
    flash = ["packed_flash"] if importlib.util.find_spec("flash_attn") else []
    return ["packed_sdpa", "packed_varlen", *flash]


def _seen(trainer: Any, rows: Sequence[Pair], kernel: str | None) -> Seen:
    randomise(trainer)
    trainer.first_loss_is_due = False
    if kernel:
        trainer.model.get_base_model().set_attn_implementation(kernel)
    with torch.no_grad():
        log_probs = torch.cat(trainer.summed_log_probs(rows, "trained")).cpu()
    trainer.model.train()
    inputs = trainer._prepare_inputs(trainer.data_collator([vars(pair) for pair in rows]))
    with trainer.compute_loss_context_manager():
        trainer.compute_loss(trainer.model, inputs).backward()
    gradients = [one.grad.flatten().cpu() for one in trainer.model.parameters() if one.grad is not None]
    found = Seen(log_probs, torch.cat(gradients))
    if not math.isfinite(float(found.log_probs.sum())):
        raise SystemExit(f"{kernel}: log-probabilities are not finite")
    del trainer
    made.forget()
    return found
