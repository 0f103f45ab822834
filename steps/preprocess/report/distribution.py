"""Lengths as a report shows them: percentiles, a histogram on bins that all runs share, and what follows for training.

Takes lengths that are counted already, and knows neither rows nor units, tokens or characters.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

PERCENTILES = (1, 5, 25, 50, 75, 90, 95, 99)
BINS_PER_OCTAVE = 4
LARGEST = 2**24  # the last bin is open
COVERED = 99  # per cent of the rows that `max_length` is to hold whole
MULTIPLE = 64  # sequence lengths that GPUs take without padding
CHARACTERS_PER_TOKEN = 3.0


def _edges() -> np.ndarray:
    """0, 1, 2, 3, … and from 4 on four bins an octave, each edge once."""
    octaves = np.log2(LARGEST) * BINS_PER_OCTAVE
    powers = np.round(2 ** (np.arange(octaves + 1) / BINS_PER_OCTAVE)).astype(np.int64)
    return np.unique(np.concatenate([[0], powers]))


EDGES = _edges()


def distribution(values: np.ndarray, counts: np.ndarray) -> dict[str, Any]:
    """What a report says of lengths.

    Args:
        values: distinct lengths, sorted: int64, shape (n,).
        counts: how often each occurs: int64, shape (n,).

    Returns:
        count, mean, min, max; percentiles by the nearest rank; a histogram whose `edges` are the lower bounds of its
        bins and the upper one of the last (null where that is open), from the first bin with rows to the last. Without
        values all but count are null.
    """
    total = int(counts.sum())
    if not total:
        return {"count": 0, "mean": None, "min": None, "max": None, "percentiles": None, "histogram": None}
    return {
        "count": total,
        "mean": round(float((values * counts).sum() / total), 1),
        "min": int(values[0]),
        "max": int(values[-1]),
        "percentiles": {str(percent): percentile(values, counts, percent) for percent in PERCENTILES},
        "histogram": _histogram(values, counts),
    }


def percentile(values: np.ndarray, counts: np.ndarray, percent: int) -> int:
    """The smallest value that covers so many per cent of the rows (the nearest rank). Arrays as in `distribution`."""
    rank = -(-int(counts.sum()) * percent // 100)  # in whole numbers: 0.07 * 100 is above 7
    return int(values[np.searchsorted(np.cumsum(counts), rank)])


def _histogram(values: np.ndarray, counts: np.ndarray) -> dict[str, Any]:
    bins = np.searchsorted(EDGES, values, side="right") - 1
    first, last = int(bins[0]), int(bins[-1])
    filled = np.zeros(last + 1 - first, np.int64)
    np.add.at(filled, bins - first, counts)
    edges: list[int | None] = [int(edge) for edge in EDGES[first : last + 2]]
    if last == len(EDGES) - 1:
        edges.append(None)
    return {"edges": edges, "counts": filled.tolist()}


def recommended_max_length(
    values: np.ndarray, counts: np.ndarray, basis: Literal["tokens", "characters"]
) -> dict[str, Any] | None:
    """The least `max_length` for training, a multiple of 64, that holds 99 % of the rows whole; None without rows.

    From characters it is an estimate, and `basis` says so: English text has about 4 characters a token, JSON and code
    about 3, and the lower number is taken since a length that is too short cuts answers off.
    Arrays are as in `distribution`.
    """
    if not counts.sum():
        return None
    length = percentile(values, counts, COVERED) / (CHARACTERS_PER_TOKEN if basis == "characters" else 1)
    tokens = max(int(-(-length // MULTIPLE) * MULTIPLE), MULTIPLE)
    return {"tokens": tokens, "covers": COVERED / 100, "basis": basis}
