"""The scores that rows have for chosen and rejected, by the names that data sets give them."""

from __future__ import annotations

from steps.preprocess.rows.pairs import Row

NUMBERS = (int, float)
SCORES = (  # fields in which data sets keep the scores of chosen and rejected
    ("score_chosen", "score_rejected"),
    ("chosen_score", "rejected_score"),
    ("chosen_rating", "rejected_rating"),
    ("chosen-rating", "rejected-rating"),
    ("chosen_reward", "rejected_reward"),
)
SCORED = frozenset(better for better, _ in SCORES)


def preference_scores(row: Row) -> tuple[float, float] | None:
    """The scores of chosen and rejected, where the row has both as numbers."""
    if SCORED.isdisjoint(row):
        return None
    for better, worse in SCORES:
        if better in row and type(row[better]) in NUMBERS and type(row.get(worse)) in NUMBERS:
            return float(row[better]), float(row[worse])
    return None
