"""What the judge said of all pairs, in figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Judgement:
    """Pairs of answers to the same question, the trained model's and the base's.

    Attributes:
        model: the judge.
        pairs: questions with a text for their chosen answer, that is what there was to judge.
        wins, losses: pairs in which the trained model's, the base's answer was preferred in both orders.
        ties: pairs of equal answers, those that the judge calls equal, and those where its two orders disagree.
        unreadable: pairs in which an answer of the judge holds no verdict; neither a win nor a loss.
        tokens: that the judge has read and written in all.
        stopped: why not all pairs were judged; None where they were.
    """

    model: str
    pairs: int
    wins: int
    losses: int
    ties: int
    unreadable: int
    tokens: int
    stopped: str | None

    @property
    def judged(self) -> int:
        """Pairs with a verdict."""
        return self.wins + self.losses + self.ties

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
