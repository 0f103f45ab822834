"""The scores that rows have for chosen and rejected, by the names that data sets give them."""

from __future__ import annotations

from typing import Any, NamedTuple

from steps.preprocess.rows.json_values import finite
from steps.preprocess.rows.pairs import Row

SCORES = (  # fields in which data sets keep the scores of chosen and rejected
    ("score_chosen", "score_rejected"),
    ("chosen_score", "rejected_score"),
    ("chosen-score", "rejected-score"),
    ("rating_chosen", "rating_rejected"),
    ("chosen_rating", "rejected_rating"),
    ("chosen-rating", "rejected-rating"),
    ("reward_chosen", "reward_rejected"),
    ("chosen_reward", "rejected_reward"),
)
FIELDS = frozenset(name for pair in SCORES for name in pair)


class Scores(NamedTuple):
    """The scores of a row, and the fields that hold them."""

    chosen: float
    rejected: float
    fields: tuple[str, str]


def preference_scores(row: Row) -> Scores | None:
    """The first pair of scores that a row has as numbers; a table may have them as texts."""
    for fields in SCORES:
        if fields[0] in row:
            better, worse = (_score(row.get(name)) for name in fields)
            if better is not None and worse is not None:
                return Scores(better, worse, fields)
    return None


def _score(value: Any) -> float | None:
    return None if isinstance(value, bool) else finite(value)
