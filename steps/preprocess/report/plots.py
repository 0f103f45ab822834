"""Where the marks of a length plot stand, in per cent of its width and height; the template draws them.

All plots share the bins of distribution.py, each as wide as the next, so that lengths stand on a logarithmic axis.
Positions are per cent rather than points since a plot is as wide as the page lets it be, and its text keeps its size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from steps.preprocess.report.distribution import EDGES

LEAST_BINS = 12  # shown, so that one row is not a wall
MOST_TICKS = 7
LEAST_HEIGHT = 1.5  # per cent: a bin with one row in ten millions is seen
ROOM = 27  # per cent of the width, which a label needs on a narrow screen
MARKED = {"50": "median", "95": "95%", "99": "99%"}


@dataclass(frozen=True)
class Axis:
    """The bins from `first` to before `last`, side by side."""

    first: int
    last: int

    @classmethod
    def over(cls, histograms: Iterable[Mapping[str, Any]]) -> Axis:
        """The axis on which all of them fit."""
        bins = [number for histogram in histograms for number in _bins(histogram)]
        first, last = min(bins), max(bins) + 1
        missing = max(LEAST_BINS - (last - first), 0)
        first = max(first - missing // 2, 0)
        return cls(first, min(max(last, first + LEAST_BINS), len(EDGES)))

    @property
    def step(self) -> float:
        return 100 / (self.last - self.first)

    def of_bin(self, number: float) -> float:
        return round((number - self.first) * self.step, 3)

    def of_length(self, length: int) -> float:
        number = _bin_of(length)
        if number == len(EDGES) - 1:
            return self.of_bin(number + 0.5)
        low, high = int(EDGES[number]), int(EDGES[number + 1])
        return min(max(self.of_bin(number + (length + 0.5 - low) / (high - low)), 0), 100)

    def ticks(self) -> list[dict[str, Any]]:
        """Zero and powers of two, as many as there is room for."""
        edges = [(number, int(EDGES[number])) for number in range(self.first, min(self.last + 1, len(EDGES)))]
        marks = [(number, edge) for number, edge in edges if edge & (edge - 1) == 0]
        every = -(-len(marks) // MOST_TICKS)
        return [{"x": self.of_bin(number), "text": short(edge)} for number, edge in marks[::every]]


def _bin_of(length: int) -> int:
    return int(np.searchsorted(EDGES, length, side="right")) - 1


def _bins(histogram: Mapping[str, Any]) -> list[int]:
    """The numbers of a histogram's bins."""
    return [_bin_of(edge) for edge in histogram["edges"][:-1]]


def short(length: int) -> str:
    """A power of two as people say it: 512, 16k, 1M."""
    for size, letter in ((2**20, "M"), (2**10, "k")):
        if length >= 16 * 2**10 and length >= size:
            return f"{length // size}{letter}"
    return f"{length:,}"


def bars(histogram: Mapping[str, Any], axis: Axis, peak: float, unit: str) -> list[dict[str, Any]]:
    """A histogram's bars. `peak` is the share that is as high as the plot."""
    edges, counts = histogram["edges"], histogram["counts"]
    total = sum(counts)
    drawn = []
    for number, low, high, count in zip(_bins(histogram), edges[:-1], edges[1:], counts, strict=True):
        if count:
            height = max(100 * count / total / peak, LEAST_HEIGHT)
            rows = f"{count:,} {'row' if count == 1 else 'rows'} ({count / total:.1%})"
            title = f"{_range(low, high)} {unit}: {rows}"
            drawn.append({"x": axis.of_bin(number), "height": round(height, 2), "title": title})
    return drawn


def _range(low: int, high: int | None) -> str:
    if high is None:
        return f"{low:,} and more"
    return f"{low:,}" if high == low + 1 else f"{low:,} to {high - 1:,}"


def peak_of(histograms: Iterable[Mapping[str, Any]]) -> float:
    """The largest share of rows that a bin of any of them has."""
    return max(max(histogram["counts"]) / sum(histogram["counts"]) for histogram in histograms)


def marks(distribution: Mapping[str, Any], axis: Axis) -> list[dict[str, Any]]:
    """The percentiles that a histogram shows, those at the same length together, a row for each label.

    Labels stand to the right of their marks or, where the last has no room there, to the left, and begin with the mark
    that no label of the others could run across.
    """
    found: dict[int, list[str]] = {}
    for percent, text in MARKED.items():
        found.setdefault(distribution["percentiles"][percent], []).append(text)
    placed = [(axis.of_length(length), f"{', '.join(names)}: {length:,}") for length, names in found.items()]
    leftward = placed[-1][0] > 100 - ROOM
    if leftward:
        placed.reverse()
    return [{"x": x, "text": text, "left": leftward and x > ROOM} for x, text in placed]


def histogram(distribution: Mapping[str, Any], axis: Axis, unit: str) -> dict[str, Any]:
    """One distribution as a plot of its own."""
    peak = peak_of([distribution["histogram"]])
    return {
        "axis": axis,
        "bars": bars(distribution["histogram"], axis, peak, unit),
        "marks": marks(distribution, axis),
        "peak": peak,
    }


def two_histograms(new: Mapping[str, Any], old: Mapping[str, Any], unit: str) -> dict[str, Any]:
    """Two histograms on one axis and one scale, to be laid over each other or face to face."""
    axis, peak = Axis.over([new, old]), peak_of([new, old])
    return {"axis": axis, "bars": bars(new, axis, peak, unit), "others": bars(old, axis, peak, unit), "peak": peak}
