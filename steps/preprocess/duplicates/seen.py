"""The ids of the rows that have gone by, to tell at once that one comes again. 16 bytes a row."""

from __future__ import annotations

import numpy as np


class Seen:
    """Ids, each as two unsigned 64-bit numbers.

    The halves are kept apart, each sorted: a row counts as seen where both of its halves were, which for rows that
    were not, by chance alone, is as unlikely as that their ids are equal.
    """

    def __init__(self) -> None:
        self._halves = _Numbers(), _Numbers()

    def add(self, ids: np.ndarray) -> np.ndarray:
        """Add ids that differ from each other, shape (n, 2); returns which were there before: bool, shape (n,)."""
        high, low = (np.ascontiguousarray(ids[:, half], np.uint64) for half in (0, 1))
        before = self._halves[0].have(high)
        before[before] = self._halves[1].have(low[before])
        for half, numbers in zip(self._halves, (high, low), strict=True):
            half.add(numbers[~before])  # a copy
        return before


class _Numbers:
    """A growing set of numbers in sorted runs. Of any two runs the earlier one is more than twice as long, so there
    are few, and a number is moved into a longer one a few times only."""

    def __init__(self) -> None:
        self._runs: list[np.ndarray] = []

    def have(self, numbers: np.ndarray) -> np.ndarray:
        """Which of the numbers are there."""
        order = np.argsort(numbers)
        asked = numbers[order]  # in order, so that what a search reads is what the last one read
        there = np.zeros(len(asked), bool)
        for run in self._runs:
            places = np.searchsorted(run, asked)
            there |= run[np.minimum(places, len(run) - 1)] == asked
        found = np.empty_like(there)
        found[order] = there
        return found

    def add(self, numbers: np.ndarray) -> None:
        while self._runs and len(self._runs[-1]) <= 2 * len(numbers):
            numbers = np.concatenate([self._runs.pop(), numbers])
        if len(numbers):
            numbers.sort()
            self._runs.append(numbers)
