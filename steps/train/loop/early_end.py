"""Why a run ends before its last step: a signal, figures that went wrong, or no more gain.

A signal (a spot interruption, a stopped job) leaves a checkpoint of the last whole step and no results. Figures that
went wrong leave the checkpoints that were made before. No more gain is a run's regular end, with the best checkpoint
as its result.
"""

from __future__ import annotations

import logging
import math
import statistics
from collections import deque
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from steps.shared.contract import StepError
from steps.train.loop import checkpoints
from steps.train.model import adapter

if TYPE_CHECKING:
    from steps.train.arguments import TrainArguments
    from steps.train.loop.held_out_evaluation import HeldOutEvaluation
    from steps.train.loop.trainer import PairTrainer

log = logging.getLogger(__name__)

WINDOW = 5  # logged figures that are looked at together


class StopOnSignal(TrainerCallback):
    """After a signal, ends the training at the end of its step, with a checkpoint."""

    def __init__(self, trainer: PairTrainer):
        self.trainer = trainer

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.trainer.interruption.requested(args.device):
            self.trainer.interrupt(control)


class StopOnBadFigures(TrainerCallback):
    """Stops a run whose loss is NaN or infinite, whose gradient explodes, or that learns to prefer rejected answers.

    The figures are those of the training log, which all ranks share.
    """

    def __init__(self, arguments: TrainArguments):
        self.arguments = arguments
        self._norms: deque[float] = deque(maxlen=WINDOW)
        self._accuracies: deque[float] = deque(maxlen=WINDOW)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        logs = logs or {}
        reason = self._reason(logs)
        if reason:
            raise StepError(f"stopped at step {state.global_step}: {reason}; checkpoints made before are kept")

    def _reason(self, logs: dict[str, float]) -> str | None:
        if not math.isfinite(logs.get("loss", 0.0)):
            return f"the loss is {logs['loss']}; lower learning_rate, or check bf16 and the data"
        if "grad_norm" in logs:
            norm, usual = float(logs["grad_norm"]), list(self._norms)
            self._norms.append(norm)
            limit = self.arguments.stop_grad_norm_factor
            if not math.isfinite(norm):
                return f"the gradient's norm is {norm}; lower learning_rate, or check bf16 and the data"
            if len(usual) == WINDOW and norm > limit * statistics.median(usual):
                return (
                    f"the gradient's norm is {norm:.3g}, over {limit:g} times what it was "
                    f"({statistics.median(usual):.3g}); lower learning_rate, or raise stop_grad_norm_factor"
                )
        if "rewards/accuracies" in logs:
            self._accuracies.append(float(logs["rewards/accuracies"]))
            mean, limit = statistics.fmean(self._accuracies), self.arguments.stop_reward_accuracy
            if len(self._accuracies) == WINDOW and mean < limit:
                return (
                    f"the reward accuracy of the last {WINDOW} log entries is {mean:.3f}, below "
                    f"{limit:g}: the model learns to prefer the rejected answers; are chosen and rejected swapped? "
                    "Otherwise lower learning_rate, or stop_reward_accuracy"
                )
        return None


class StopWithoutGain(TrainerCallback):
    """Early stopping: notes the best held-out evaluation, keeps its checkpoint, and ends a run that gains no more."""

    def __init__(self, trainer: PairTrainer, held_out: HeldOutEvaluation):
        self.trainer, self.held_out = trainer, held_out

    @property
    def best(self) -> dict[str, Any] | None:
        """The step and value of the best evaluation, and how many came after it."""
        return self.trainer.marker.facts.get("best")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.held_out.evaluated_at != state.global_step:
            return
        arguments = self.trainer.arguments
        name = arguments.early_stopping_metric.removeprefix("eval_")
        value = getattr(self.held_out.after, name)
        best = self.best
        if best is None or _gain(name, value, best["value"]) > arguments.early_stopping_min_delta:
            self.trainer.marker.facts["best"] = {"step": state.global_step, "value": value, "since": 0}
            control.should_save = True
            return
        best["since"] += 1
        if best["since"] >= arguments.early_stopping_patience and state.global_step < state.max_steps:
            control.should_training_stop = control.should_save = True
            if state.is_world_process_zero:
                print(
                    f"stopped at step {state.global_step} of {state.max_steps}: {arguments.early_stopping_metric} has "
                    f"not gained since step {best['step']} ({best['value']:.4f})",
                    flush=True,
                )


def _gain(name: str, value: float, best: float) -> float:
    return best - value if name == "loss" else value - best


def take_best(trainer: PairTrainer, held_out: HeldOutEvaluation) -> None:
    """With early stopping, put the best checkpoint's adapter in place of the last one's."""
    best = trainer.marker.facts.get("best")
    if not best or best["step"] == trainer.state.global_step:
        return
    adapter.load(trainer.model, checkpoints.place_of(trainer.folder, best["step"]))
    held_out.evaluate_result()
    log.info("the result is the adapter of step %d, the best of the held-out evaluations", best["step"])
