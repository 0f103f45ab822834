"""What a model must keep to pass the gate. Read on both sides; imports the standard library and no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from steps.shared.contract import StepError

ThresholdOn = Literal["accuracy", "lower_end"]
# A paired test (McNemar's exact, one-sided) below this says that a model is worse; a rule that rests on one has it as
# its limit. Fewer rows than LEAST_PAIRS cannot get there: all of them lost, five rows give 1/32 and four give 1/16.
ALPHA = 0.05
LEAST_PAIRS = 5


@dataclass(frozen=True)
class Limits:
    """The settings of `gate:` under the same names, and two pipeline parameters.

    Attributes:
        threshold: least held-out reward accuracy, 0 to 1.
        threshold_on: whether the accuracy itself must reach it, or the lower end of its interval.
        tolerance: how far below the champion's accuracy is still good, 0 to 1.
        min_rows: fewest held-out rows that a verdict may rest on.
        max_chosen_drop: most that the chosen answers' log-probability may fall, in nats a token; None: any.
        max_served_drift: most of the held-out rows, as a share, that may change sides when served; None: any.
        max_degenerate_share: most of the answers that may be degenerate, as a share.
        judge: the model that compares text answers; None: none does.
        max_reversed_share: most of the pairs of feedback, as a share, that may say the opposite of the given data;
            None: any.
        canary_threshold: least reward accuracy on the canary set; None: there is none.
    """

    threshold: float
    threshold_on: ThresholdOn
    tolerance: float
    min_rows: int
    max_chosen_drop: float | None
    max_served_drift: float | None
    max_degenerate_share: float
    judge: str | None
    max_reversed_share: float | None = None
    canary_threshold: float | None = None

    def check(self) -> None:
        """Raises StepError for a value out of range."""
        shares = {
            "--threshold": self.threshold,
            "--champion-tolerance": self.tolerance,
            "--max-served-drift": self.max_served_drift,
            "--max-degenerate-share": self.max_degenerate_share,
            "--max-reversed-share": self.max_reversed_share,
            "--canary-threshold": self.canary_threshold,
        }
        for flag, value in shares.items():
            if value is not None and not 0 <= value <= 1:
                raise StepError(f"{flag}: {value}: must lie between 0 and 1")
        if self.min_rows < 1:
            raise StepError(f"--min-validation-rows: {self.min_rows}: must be at least 1")
        if self.max_chosen_drop is not None and not self.max_chosen_drop >= 0:
            raise StepError(f"--max-chosen-drop: {self.max_chosen_drop}: must be at least 0")
