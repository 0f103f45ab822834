"""What happens during training beside the steps: metric lines, held-out evaluations, checks of the first step."""

from __future__ import annotations

import logging
import math
from typing import Any

import torch
import torch.distributed as dist
from transformers import Trainer, TrainerCallback

from steps.shared.contract import StepError
from steps.train.evaluation import log_probs
from steps.train.evaluation.figures import Evaluation, RowMargin, summarise
from steps.train.evaluation.held_out import HeldOut
from steps.train.loop.trainer import PairTrainer, rounding
from steps.train.metrics import lines as metrics
from steps.train.model.load import attention_implementation
from steps.train.runtime.interruption import Interrupted
from steps.train.shared_prompts.model import whole_sequences

log = logging.getLogger(__name__)

SHARD_TOLERANCE = 1.25  # a rank may hold this many times total / ranks: small tensors pad up


class MetricLines(TrainerCallback):
    """Prints one line per log on rank 0, in the form that the CloudWatch metric definitions read, and keeps them.

    `history` has those of the run so far, which come with the checkpoint.
    """

    def __init__(self, history: list[dict[str, float]]) -> None:
        self.history = history

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        named = metrics.rename(logs or {})
        if not named or not state.is_world_process_zero:
            return
        self.history.append({"step": state.global_step, **named, **metrics.system(logs or {})})
        print(metrics.line(state.global_step, state.max_steps, named), flush=True)


class HeldOutEvaluation(TrainerCallback):
    """Evaluates the held-out rows before the first step, every `eval_steps`, and after the last."""

    def __init__(self, trainer: PairTrainer, held_out: HeldOut, eval_steps: int, before: Evaluation | None):
        self.trainer, self.held_out, self.eval_steps = trainer, held_out, eval_steps
        self.before, self.after = before, before
        self.margins: list[RowMargin] = []
        self.evaluated_at: int | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.before is None:
            self.before = self._evaluate()
            self.trainer.marker.facts["before"] = self.before.as_dict()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        last = state.global_step >= state.max_steps or control.should_training_stop
        due = last or (self.eval_steps and state.global_step % self.eval_steps == 0)
        if self.trainer.interrupted or not due:
            return
        try:
            self.after = self._evaluate()
            self.evaluated_at = state.global_step
        except Interrupted:
            self.trainer.interrupt(control)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if not self.margins and not self.trainer.interrupted:  # a run that continued from its last step had none to end
            self.evaluate_result()

    def evaluate_result(self) -> None:
        """Take the final figures from the model as it is now."""
        self.after = self._measure()

    def _measure(self) -> Evaluation:
        self.margins = self.held_out.evaluate(self.trainer)
        return summarise(self.margins, self.held_out.beta)

    def _evaluate(self) -> Evaluation:
        """Measure, and log it."""
        result = self._measure()
        figures = {
            "eval_loss": result.loss,
            "eval_reward_accuracy": result.reward_accuracy,
            "eval_reward_margin": result.reward_margin,
        }
        due = self.trainer.control.should_log
        Trainer.log(self.trainer, figures)  # past trl's own, which would add the training metrics gathered so far
        self.trainer.control.should_log = due  # a log ends what is due: without this the step's own line is lost
        return result


class FirstStepChecks(TrainerCallback):
    """Stops within the first step a run that cannot be believed: not sharded, not the same when packed, or without a
    usable gradient."""

    def __init__(self, trainer: PairTrainer):
        self.trainer = trainer
        self.gradient_is_due = True

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.trainer.arguments.fsdp:
            if not self.trainer.is_fsdp_enabled:
                raise StepError("fsdp: true, but accelerate did not shard the model; run under torchrun")
            held = check_sharding(self.trainer.model, args.world_size)
            if state.is_world_process_zero:
                print(held, flush=True)
        if self.trainer.data_collator.packs:
            check_packed(self.trainer, rounding(self.trainer.arguments))

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
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
    from torch.distributed.tensor import DTensor

    whole = [name for name, parameter in model.named_parameters() if not isinstance(parameter, DTensor)]
    if whole:
        raise StepError(f"fsdp: {len(whole)} parameters are not sharded, first {whole[0]}")
    local = sum(p.to_local().numel() * p.element_size() for p in model.parameters())
    total = sum(p.numel() * p.element_size() for p in model.parameters())
    if local > SHARD_TOLERANCE * total / ranks:
        raise StepError(
            f"fsdp: this rank holds {local:,} of {total:,} bytes on {ranks} ranks; expected about 1/{ranks}"
        )
    return f"FSDP2: {local:,} of {total:,} parameter bytes on each of {ranks} ranks"


def gradient_norm(model: torch.nn.Module, device: torch.device) -> float:
    """The norm of the whole gradient, the same on every rank."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    sharded = any(hasattr(gradient, "to_local") for gradient in gradients)
    squares = torch.zeros((), dtype=torch.float64, device=device)
    for gradient in gradients:
        squares += (gradient.to_local() if sharded else gradient).double().square().sum()
    if sharded:
        dist.all_reduce(squares)
    return float(squares.sqrt())


def check_packed(trainer: PairTrainer, rounding: float) -> None:
    """Compare the log-probabilities of the longest pair with those of its whole sequences. All ranks must call it.

    Args:
        rounding: what a token's may change by rounding, in nats.

    Raises:
        StepError: they are not the same.
    """
    pair, model = trainer.longest_pair, trainer.model.get_base_model()
    packed = log_probs.sums(trainer, [[pair]], "trained")[0]
    with whole_sequences(model, attention_implementation(trainer.arguments)):
        trainer.data_collator.packs = False
        whole = log_probs.sums(trainer, [[pair]], "trained")[0]
        trainer.data_collator.packs = True
    apart = [abs(one - other) for one, other in zip(packed, whole, strict=True)]
    kind = model.config._attn_implementation
    log.info("share_prompts: %s; on the longest pair, packed is %.2g nats from whole sequences", kind, max(apart))
    limits = [rounding * math.sqrt(sum(mask)) for mask in (pair.chosen_mask, pair.rejected_mask)]
    if not all(one <= limit for one, limit in zip(apart, limits, strict=True)):
        raise StepError(
            f"share_prompts: on row {pair.id} packed log-probabilities are {max(apart):.2g} nats from those of whole "
            "sequences: the model mixes tokens by other ways than attention; set share_prompts: false"
        )
