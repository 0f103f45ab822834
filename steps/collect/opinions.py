"""Which opinions count: the latest of each person on an answer, within a limit a person and day, and the majority.

All lines are kept in the input; here each that does not count gets the state that says why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from steps.collect.feedback import Opinion
from steps.collect.states import FeedbackState

Contradictions = Literal["majority", "leave_out"]


def current(opinions: Iterable[Opinion], limit: int | None) -> dict[str, list[Opinion]]:
    """The opinions that count, by the id of what they are about.

    Args:
        limit: most that count of one named person in one day, the first ones; None for no limit.
    """
    by_id: dict[str, list[Opinion]] = {}
    seen: set[tuple[object, ...]] = set()
    for opinion in opinions:
        said = (opinion.id, opinion.by, opinion.verdict, opinion.correction, opinion.reason, opinion.at)
        if said in seen:
            opinion.state = FeedbackState.DUPLICATE
        else:
            seen.add(said)
            by_id.setdefault(opinion.id, []).append(opinion)
    latest = [opinion for of_one in by_id.values() for opinion in latest_of_each(of_one)]
    _limit(latest, limit)
    counting: dict[str, list[Opinion]] = {}
    for opinion in latest:
        if opinion.state is None:
            counting.setdefault(opinion.id, []).append(opinion)
    return counting


def latest_of_each(opinions: Sequence[Opinion]) -> list[Opinion]:
    """The latest opinion of each person; the others are superseded. Nobody in particular is one person an id."""
    if len(opinions) == 1:
        return list(opinions)
    latest: dict[tuple[str | None, str], Opinion] = {}
    for opinion in sorted(opinions, key=lambda opinion: opinion.order):
        person = (opinion.by, "" if opinion.by else opinion.id)
        if person in latest:
            latest[person].state = FeedbackState.SUPERSEDED
        latest[person] = opinion
    return list(latest.values())


def _limit(opinions: list[Opinion], limit: int | None) -> None:
    if limit is None:
        return
    said: Counter[tuple[str, str]] = Counter()
    for opinion in sorted(opinions, key=lambda opinion: opinion.order):
        if opinion.by is None:
            continue
        day = (opinion.by, opinion.at[:10])
        said[day] += 1
        if said[day] > limit:
            opinion.state = FeedbackState.OVER_LIMIT


def side_of(opinions: Sequence[Opinion], contradictions: Contradictions) -> int | None:
    """What people think of one answer: 1 for it, -1 against it, 0 neither, None where they contradict each other."""
    ups = sum(opinion.verdict > 0 for opinion in opinions)
    downs = sum(opinion.verdict < 0 for opinion in opinions)
    if ups and downs and (contradictions == "leave_out" or ups == downs):
        return None
    return (ups > downs) - (ups < downs)
