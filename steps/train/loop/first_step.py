"""Checks of the first step, which end a run that cannot be trusted: sharding, packed rows, the first gradient."""

from __future__ import annotations

import logging
import math
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from steps.shared.contract import StepError
from steps.train.evaluation import log_probs
from steps.train.loop.trainer import PairTrainer, rounding
from steps.train.model.adapter import base_of
from steps.train.model.whole import first_broken
from steps.train.shared_prompts.model import whole_sequences

log = logging.getLogger(__name__)

SHARD_TOLERANCE = 1.25  # a rank may hold this many times total / ranks: small tensors pad up


class FirstStepChecks(TrainerCallback):
    """Ends a run in its first step that cannot be trusted: not sharded, with other results when packed, or without a
    usable gradient."""

    def __init__(self, trainer: PairTrainer):
        self.trainer = trainer
        self.gradient_is_due = True

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.trainer.arguments.fsdp:
            if not self.trainer.is_fsdp_enabled:
                raise StepError("fsdp: true, but accelerate did not shard the model; run under torchrun")
            held = check_sharding(self.trainer.model, args.world_size)
            if state.is_world_process_zero:
                print(held, flush=True)
        if self.trainer.data_collator.packs:
            check_packed(self.trainer, rounding(self.trainer.arguments))

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if not self.gradient_is_due:
            return
        self.gradient_is_due = False
        norm = gradient_norm(self.trainer.model, args.device)
        if not math.isfinite(norm):
            raise StepError(f"the first gradient is {norm}; lower learning_rate, or check bf16 and the model's weights")
        if norm == 0:
            raise StepError("the first gradient is 0: nothing would be trained; check target_modules")


def check_sharding(model: torch.nn.Module, ranks: int) -> str:
    """Make sure that this rank holds its share of the parameters, and say how much that is.

    Raises:
        StepError: a parameter is not sharded, or this rank holds far more than its share of the bytes.
    """
    whole = [name for name, parameter in model.named_parameters() if not isinstance(parameter, DTensor)]
    if whole:
        raise StepError(f"fsdp: {len(whole)} parameters are not sharded, first {whole[0]}")
    shards = (p.to_local() for p in model.parameters() if isinstance(p, DTensor))
    local = sum(shard.numel() * shard.element_size() for shard in shards)
    total = sum(p.numel() * p.element_size() for p in model.parameters())
    if local > SHARD_TOLERANCE * total / ranks:
        raise StepError(
            f"fsdp: this rank holds {local:,} of {total:,} bytes on {ranks} ranks; expected about 1/{ranks}"
        )
    return f"FSDP2: {local:,} of {total:,} parameter bytes on each of {ranks} ranks"


def gradient_norm(model: torch.nn.Module, device: torch.device) -> float:
    """The L2 norm of the gradient over all parameters and ranks, the same on every rank; computed in float64."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    squares = torch.zeros((), dtype=torch.float64, device=device)
    for gradient in gradients:
        squares += (gradient.to_local() if isinstance(gradient, DTensor) else gradient).double().square().sum()
    if any(isinstance(gradient, DTensor) for gradient in gradients):
        dist.all_reduce(squares)
    return float(squares.sqrt())


def check_packed(trainer: PairTrainer, rounding: float) -> None:
    """Compare the log-probabilities of the longest pair with those of its whole sequences. All ranks must call it.

    Args:
        rounding: tolerance for a token's log-probability, in nats.

    Raises:
        StepError: they differ by more.
    """
    pair, model = trainer.longest_pair, base_of(trainer.model)
    packed = log_probs.sums(trainer, [[pair]], "trained")[0]
    with whole_sequences(model, trainer.attention), trainer.data_collator.unpacked():
        whole = log_probs.sums(trainer, [[pair]], "trained")[0]
    if not all(map(math.isfinite, whole)):
        broken = first_broken(trainer.model)
        cause = f"{broken} holds NaN or infinity" if broken else "its weights are finite: check bf16"
        raise StepError(
            f"{trainer.arguments.model_id}: the model gives row {pair.id} a log-probability that is not finite: "
            f"{cause}; copy or download the model again"
        )
    apart = [abs(one - other) for one, other in zip(packed, whole, strict=True)]
    kind = model.config._attn_implementation
    log.info("share_prompts: %s; on the longest pair, packed is %.2g nats from whole sequences", kind, max(apart))
    limits = [rounding * math.sqrt(sum(mask)) for mask in (pair.chosen_mask, pair.rejected_mask)]
    if not all(one <= limit for one, limit in zip(apart, limits, strict=True)):
        raise StepError(
            f"share_prompts: on row {pair.id} packed log-probabilities are {max(apart):.2g} nats from those of whole "
            "sequences: the model mixes tokens by other ways than attention; set share_prompts: false"
        )
