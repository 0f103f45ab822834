"""McNemar's test: do two models differ in how often they are right, judged on the same rows?

McNemar, "Note on the sampling error of the difference between correlated proportions or percentages", Psychometrika 12
(1947), 153-157: rows on which both are right, or both wrong, say nothing. If the two are equally good, each of the n
rows on which only one is right is a win or a loss of the first as a fair coin falls: X of them are wins, X binomial
with n and 1/2. The probabilities are the binomial's own (exact), not the chi square approximation's, which is wrong
where n is small, as it is here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class McNemar:
    """Probabilities of what was seen, or of something more extreme, if both models are equally good.

    Attributes:
        p: two-sided: min(1, 2 P(X <= min(wins, losses))).
        p_worse: one-sided, small where the first model is the worse one: P(X <= wins).
    """

    p: float
    p_worse: float


def mcnemar(wins: int, losses: int) -> McNemar:
    """Test the first of two models.

    Args:
        wins: rows on which only the first model is right.
        losses: rows on which only the second one is right.

    Raises:
        ValueError: a count is negative.
    """
    if wins < 0 or losses < 0:
        raise ValueError(f"{wins} wins and {losses} losses: counts are not negative")
    count = wins + losses
    return McNemar(
        p=min(1.0, 2 * _at_most(min(wins, losses), count)),
        p_worse=_at_most(wins, count),
    )


def _at_most(successes: int, count: int) -> float:
    """P(X <= successes), X binomial with `count` and 1/2: sum of C(count, k) / 2^count.

    In whole numbers, so that it is right to a float's last digit for any count; 2^-1074 and less is 0.
    """
    coefficient = total = 1
    for k in range(1, successes + 1):
        coefficient = coefficient * (count - k + 1) // k
        total += coefficient
    return total / (1 << count)
