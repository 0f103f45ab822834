"""Two models on the same rows: who scores higher where, and what the difference of their accuracies may be.

A row's score is 1 with a positive margin, 0 with a negative one and 1/2 in a tie, so that the mean score is the reward
accuracy (`evaluation.figures`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from steps.train.evaluation.figures import NORMAL_975


@dataclass(frozen=True)
class Paired:
    """The first model against the second.

    Attributes:
        wins, losses, ties: rows on which the first one's score is higher, lower, the same.
        difference: the first one's mean score minus the second's, -1 to 1.
        difference_low, difference_high: its interval at 95 % (`difference_interval`).
    """

    wins: int
    losses: int
    ties: int
    difference: float
    difference_low: float
    difference_high: float


def pair(first: Sequence[float], second: Sequence[float]) -> Paired:
    """Compare two models by their margins on the same rows, in the same order; there must be one."""
    gains = [_score(one) - _score(other) for one, other in zip(first, second, strict=True)]
    low, high = difference_interval(gains)
    return Paired(
        wins=sum(gain > 0 for gain in gains),
        losses=sum(gain < 0 for gain in gains),
        ties=sum(gain == 0 for gain in gains),
        difference=sum(gains) / len(gains),
        difference_low=low,
        difference_high=high,
    )


def difference_interval(gains: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean of paired differences, each from -1 to 1.

    Agresti and Min, "Simple improved confidence intervals for comparing matched proportions", Statistics in Medicine 24
    (2005), 729-740: Wald's interval with half a row added to each of the four cells (both right, only the one, only the
    other, none), that is to two rows more, one of whose squared differences is 1. With n + 2 = N, D = sum of d_i and
    S = sum of d_i^2 + 1: D / N ± z sqrt(S - D^2 / N) / N. Unlike Wald's it is not empty where no row differs. A tie's
    difference of 1/2 enters D and S as it is.
    """
    count, total = len(gains) + 2, sum(gains)
    squares = sum(gain * gain for gain in gains) + 1
    half = NORMAL_975 * math.sqrt(squares - total * total / count) / count
    return max(total / count - half, -1.0), min(total / count + half, 1.0)


def _score(margin: float) -> float:
    return 0.5 if margin == 0 else float(margin > 0)
