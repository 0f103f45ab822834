"""Figures of the rows that stay: how many a side, how long they are, and what they do with tools. Mergeable."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from steps.preprocess.report.distribution import distribution, recommended_max_length
from steps.preprocess.shards.shard import CHOSEN_CALLS, FROM_FEEDBACK, HAS_TOOLS, IN_VALIDATION, REJECTED_CALLS

PARTS = ("prompt", "chosen", "rejected", "pair")  # pair: the prompt and the longer answer
SIGNIFICANT_BITS = 12  # of a length: exact below 4,096, above that up to 1 in 2,048 too large, so that few are kept
MOST_CALLED = 20


@dataclass
class Figures:
    """Counts of rows by length, a Counter for each unit and part, and by what they do with their tools.

    Attributes:
        of_feedback: how many of the rows Collect made, by what they have: rows and tools.
        feedback_lengths: as `lengths`, of these rows alone.
    """

    train: int = 0
    validation: int = 0
    lengths: dict[tuple[str, str], Counter[int]] = field(default_factory=dict)
    with_tools: int = 0
    balance: Counter[str] = field(default_factory=Counter)
    of_feedback: Counter[str] = field(default_factory=Counter)
    feedback_lengths: dict[tuple[str, str], Counter[int]] = field(default_factory=dict)

    def add(self, index: np.ndarray, units: tuple[str, ...]) -> None:
        """Count the entries of a shard's index (dtype INDEX of shards/shard.py, shape (rows,)) that stay."""
        flags = index["flags"]
        held_out = int(np.count_nonzero(flags & IN_VALIDATION))
        self.train += len(index) - held_out
        self.validation += held_out
        _count_lengths(self.lengths, index, units)
        said = index[(flags & FROM_FEEDBACK) != 0]
        if len(said):
            _count_lengths(self.feedback_lengths, said, units)
            tools = int(np.count_nonzero(said["flags"] & HAS_TOOLS))
            self.of_feedback.update({"rows": len(said), "tools": tools})
        with_tools = flags[(flags & HAS_TOOLS) != 0]
        self.with_tools += len(with_tools)
        for chosen_calls in (True, False):
            for rejected_calls in (True, False):
                both = ((with_tools & CHOSEN_CALLS) != 0) == chosen_calls
                both &= ((with_tools & REJECTED_CALLS) != 0) == rejected_calls
                self.balance[_cell(chosen_calls, rejected_calls)] += int(np.count_nonzero(both))

    def merge(self, other: Figures) -> None:
        self.train += other.train
        self.validation += other.validation
        self.with_tools += other.with_tools
        self.balance.update(other.balance)
        self.of_feedback.update(other.of_feedback)
        for own, others in ((self.lengths, other.lengths), (self.feedback_lengths, other.feedback_lengths)):
            for name, counts in others.items():
                own.setdefault(name, Counter()).update(counts)

    def beside_feedback(self, unit: str, part: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """The distributions of lengths of feedback's rows and of all others, as distribution.py makes them."""
        said, every = (of.get((unit, part), Counter()) for of in (self.feedback_lengths, self.lengths))
        return distribution(*_sorted(said)), distribution(*_sorted(every - said))

    def as_json(self, called: Counter[str], units: tuple[str, ...]) -> dict[str, Any]:
        """The report's `lengths`, `recommended_max_length` and `tools`."""
        sorted_lengths = {
            unit: {part: _sorted(self.lengths.get((unit, part), Counter())) for part in PARTS}
            for unit in ("characters", "tokens")
        }
        basis: Literal["tokens", "characters"] = "tokens" if "tokens" in units else "characters"
        return {
            "lengths": {
                unit: {part: distribution(*values) for part, values in parts.items()} if unit in units else None
                for unit, parts in sorted_lengths.items()
            },
            "recommended_max_length": recommended_max_length(*sorted_lengths[basis]["pair"], basis),
            "tools": {
                "rows": self.with_tools,
                "called": dict(called.most_common(MOST_CALLED)),
                "balance": {_cell(a, b): self.balance[_cell(a, b)] for a in (True, False) for b in (True, False)},
            },
        }


def _count_lengths(into: dict[tuple[str, str], Counter[int]], index: np.ndarray, units: tuple[str, ...]) -> None:
    for unit in units:
        prompt, chosen, rejected = index[unit].astype(np.int64).T
        for part, values in zip(PARTS, (prompt, chosen, rejected, prompt + np.maximum(chosen, rejected)), strict=True):
            found, counts = np.unique(_coarse(values), return_counts=True)
            of_part = into.setdefault((unit, part), Counter())
            of_part.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))


def _coarse(values: np.ndarray) -> np.ndarray:
    """Lengths to SIGNIFICANT_BITS, rounded up: a recommended length still holds the rows that it is to hold."""
    bits = np.frexp(values)[1]  # value < 2**bits
    shift = np.maximum(bits - SIGNIFICANT_BITS, 0).astype(np.int64)
    return -(-values >> shift) << shift


def _sorted(counts: Counter[int]) -> tuple[np.ndarray, np.ndarray]:
    values = np.array(sorted(counts), np.int64)
    return values, np.array([counts[value] for value in values.tolist()], np.int64)


def _cell(chosen_calls: bool, rejected_calls: bool) -> str:
    return f"chosen_{'call' if chosen_calls else 'text'}_rejected_{'call' if rejected_calls else 'text'}"
