"""When a training evaluates the held-out rows, and the figures of its start and its end."""

from __future__ import annotations

from typing import Any

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from steps.train.evaluation.figures import Evaluation, RowMargin, summarise
from steps.train.evaluation.held_out import HeldOut
from steps.train.loop.trainer import PairTrainer
from steps.train.runtime.interruption import Interrupted


class HeldOutEvaluation(TrainerCallback):
    """Evaluates the held-out rows before the first step, every `eval_steps`, and after the last."""

    def __init__(self, trainer: PairTrainer, held_out: HeldOut, eval_steps: int, before: Evaluation | None):
        self.trainer, self.held_out, self.eval_steps = trainer, held_out, eval_steps
        self.before, self.after = before, before
        self.margins: list[RowMargin] = []
        self.evaluated_at: int | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.before is None:
            self.before = self._evaluate("first evaluation")
            self.trainer.marker.facts["before"] = self.before.as_dict()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        last = state.global_step >= state.max_steps or control.should_training_stop
        due = last or (self.eval_steps and state.global_step % self.eval_steps == 0)
        if self.trainer.interrupted or not due:
            return
        try:
            self.after = self._evaluate()
            self.evaluated_at = state.global_step
        except Interrupted:
            self.trainer.interrupt(control)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if not self.margins and not self.trainer.interrupted:  # a run that continued from its last step had none to end
            self.evaluate_result()

    def evaluate_result(self) -> None:
        """Take the final figures from the model as it is now."""
        self.after = self._measure()

    def before_and_after(self) -> tuple[Evaluation, Evaluation]:
        """The figures before the first step and the final ones, of a training that has ended."""
        assert self.before is not None and self.after is not None  # set at its beginning and its end
        return self.before, self.after

    def _measure(self, phase: str = "evaluation") -> Evaluation:
        self.margins = self.held_out.evaluate(self.trainer, phase)
        return summarise(self.margins, self.held_out.beta)

    def _evaluate(self, phase: str = "evaluation") -> Evaluation:
        """Measure, and log it."""
        result = self._measure(phase)
        figures = {
            "eval_loss": result.loss,
            "eval_reward_accuracy": result.reward_accuracy,
            "eval_reward_margin": result.reward_margin,
        }
        due = self.trainer.control.should_log
        Trainer.log(self.trainer, figures)  # past trl's own, which would add the training metrics gathered so far
        self.trainer.control.should_log = due  # a log ends what is due: without this the step's own line is lost
        return result
