"""Two models on the same rows: who scores higher where, and what the difference of their accuracies may be.

A row's score is 1 with a positive margin, 0 with a negative one and 1/2 in a tie, so that the mean score is the reward
accuracy (`evaluation.figures`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from steps.shared.statistics.intervals import difference_interval


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


def _score(margin: float) -> float:
    return 0.5 if margin == 0 else float(margin > 0)
