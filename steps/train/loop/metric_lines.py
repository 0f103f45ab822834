"""The metric lines of a training, printed for CloudWatch and kept as the run's history; and how far its steps are."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from steps.shared.signs import phases
from steps.train.metrics import lines as metrics


class MetricLines(TrainerCallback):
    """Prints one line per log on rank 0, in the form that the CloudWatch metric definitions read, and keeps them.

    `history` has those of the run so far, which come with the checkpoint.
    """

    def __init__(self, history: list[dict[str, float]]) -> None:
        self.history = history

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        phases.tell(phases.STEPS, state.global_step, state.max_steps)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        named = metrics.rename(logs or {})
        if not named or not state.is_world_process_zero:
            return
        self.history.append({"step": state.global_step, **named, **metrics.system(logs or {})})
        print(metrics.line(state.global_step, state.max_steps, named), flush=True)
