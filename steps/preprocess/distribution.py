"""Lengths as a report shows them: percentiles, a histogram on bins that all runs share, and what follows for training."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

PERCENTILES = (1, 5, 25, 50, 75, 90, 95, 99)
BINS_PER_OCTAVE = 4
LARGEST = 2**24  # the last bin is open
COVERED = 0.99
MULTIPLE = 64  # lengths that GPUs like
CHARACTERS_PER_TOKEN = 3.0  # cautious: English has about four, JSON and code nearer three


def _edges() -> np.ndarray:
    """0, 1, 2, 3, … and from 4 on four bins an octave, each edge once."""
    octaves = np.log2(LARGEST) * BINS_PER_OCTAVE
    powers = np.round(2 ** (np.arange(octaves + 1) / BINS_PER_OCTAVE)).astype(np.int64)
    return np.unique(np.concatenate([[0], powers]))


EDGES = _edges()


def distribution(values: np.ndarray, counts: np.ndarray) -> dict[str, Any]:
    """What a report says of lengths.

    Args:
        values: distinct lengths, sorted, int64.
        counts: how often each occurs.

    Returns:
        count, mean, min, max; percentiles by the nearest rank; a histogram whose `edges` are the lower bounds of its
        bins and the upper one of the last (null where that is open). Without values all but count are null.
    """
    total = int(counts.sum())
    if not total:
        return {"count": 0, "mean": None, "min": None, "max": None, "percentiles": None, "histogram": None}
    return {
        "count": total,
        "mean": round(float((values * counts).sum() / total), 1),
        "min": int(values[0]),
        "max": int(values[-1]),
        "percentiles": {str(percent): percentile(values, counts, percent / 100) for percent in PERCENTILES},
        "histogram": _histogram(values, counts),
    }


def percentile(values: np.ndarray, counts: np.ndarray, share: float) -> int:
    """The smallest value that covers a share of the rows (the nearest rank)."""
    rank = int(np.ceil(share * counts.sum()))
    return int(values[np.searchsorted(np.cumsum(counts), max(rank, 1))])


def _histogram(values: np.ndarray, counts: np.ndarray) -> dict[str, Any]:
    bins = np.searchsorted(EDGES, values, side="right") - 1
    filled = np.bincount(bins, weights=counts, minlength=len(EDGES)).astype(np.int64)
    first, last = int(bins[0]), int(bins[-1])
    edges: list[int | None] = [int(edge) for edge in EDGES[first : last + 2]]
    if last == len(EDGES) - 1:
        edges.append(None)
    return {"edges": edges, "counts": filled[first : last + 1].tolist()}


def recommended_max_length(
    values: np.ndarray, counts: np.ndarray, basis: Literal["tokens", "characters"]
) -> dict[str, Any] | None:
    """The least `max_length` for training that holds 99 % of the rows whole; None without rows.

    From characters it is an estimate, at CHARACTERS_PER_TOKEN, and `basis` says so.
    """
    if not counts.sum():
        return None
    length = percentile(values, counts, COVERED) / (CHARACTERS_PER_TOKEN if basis == "characters" else 1)
    return {"tokens": int(-(-length // MULTIPLE) * MULTIPLE), "covers": COVERED, "basis": basis}
