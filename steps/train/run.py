"""What the three parts of a training share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from steps.shared.templates.chat_template import ChatTemplate
    from steps.train.evaluation.champion import Champion
    from steps.train.loop.checkpoints import Checkpoint
    from steps.train.loop.held_out_evaluation import HeldOutEvaluation
    from steps.train.loop.metric_lines import MetricLines
    from steps.train.loop.trainer import PairTrainer
    from steps.train.model.lora import FittedAdapter
    from steps.train.origin import Origin
    from steps.train.rows.splits import Split
    from steps.train.tracking.callback import Tracking


@dataclass(frozen=True)
class Run:
    """A training that is ready to start.

    Attributes:
        output: the folder of the results.
        template: writes the rows, at the run's moment.
        validation: the held-out rows.
        rows: split -> how many were given, used, and left out for which reason.
        origin: where the run comes from, for its page and cards.
        fitted: where the adapter goes on this base.
        unserved: why the run is not evaluated in the served form; None where it is.
        rival: the champion to compare with; None without one.
        checkpoint: what to continue from; None to start at the beginning.
        trainer: with every callback; `lines` and `held_out` are two of them.
        tracking: tells MLflow and W&B, if any is named.
    """

    output: Path
    template: ChatTemplate
    validation: Split
    rows: dict[str, dict[str, int]]
    origin: Origin
    fitted: FittedAdapter
    unserved: str | None
    rival: Champion | None
    checkpoint: Checkpoint | None
    trainer: PairTrainer
    lines: MetricLines
    held_out: HeldOutEvaluation
    tracking: Tracking
