"""95 % intervals of a share and of a mean of paired differences."""

from __future__ import annotations

import math
from collections.abc import Sequence

NORMAL_975 = 1.959963984540054  # the 97.5 % quantile of the standard normal distribution


def wilson_interval(successes: float, count: int) -> tuple[float, float]:
    """The 95 % score interval of a share, `successes` of `count`.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927), 209-212. With
    p = successes / count and z the normal's 97.5 % quantile: the solutions s of |p - s| = z sqrt(s (1 - s) / count).
    Unlike p ± z sqrt(p (1 - p) / count) it stays within 0 and 1 and is not empty where all rows agree.
    """
    p, square = successes / count, NORMAL_975**2
    middle = (p + square / (2 * count)) / (1 + square / count)
    half = NORMAL_975 / (1 + square / count) * math.sqrt(p * (1 - p) / count + square / (4 * count**2))
    return min(max(middle - half, 0.0), p), max(min(middle + half, 1.0), p)


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
