"""What a captured line tells by itself: whether somebody spoke of it, and if so, what the join has to know of it.

It depends on no other line, so that any process may look at any share of the lines. Texts are not kept.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from steps.collect import feedback
from steps.collect.captures import Head, Place, Unreadable, head_of
from steps.collect.exchange import ExchangeReader, LeftOut
from steps.collect.states import CaptureState


@dataclass(frozen=True)
class Terms:
    """What decides over a line.

    Attributes:
        spoken_of: the ids that there are opinions on.
        now: what ages count to.
    """

    spoken_of: Set[str]
    max_age_days: float | None
    now: datetime


class Usable(NamedTuple):
    """An answer that can be trained on.

    Attributes:
        key: of its prompt (`Exchange.key`).
        digest: of the answer (`Exchange.answer_digest`).
        time: in UTC, as feedback.utc writes it; empty where it is unknown.
    """

    key: bytes
    digest: bytes
    calls: bool
    model: str | None
    time: str


class Refused(NamedTuple):
    state: CaptureState
    reason: str


class Looked(NamedTuple):
    """A line that has to be joined or told of.

    Attributes:
        ids: those of its ids that somebody spoke of; none where the line is no capture.
    """

    place: Place
    ids: tuple[str, ...]
    found: Usable | Refused


class Looker:
    """Looks at lines, and remembers the tools of those before: most declare the same."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._exchanges = ExchangeReader()

    def look(self, place: Place, line: bytes) -> Looked | None:
        """None for a capture that nobody spoke of."""
        try:
            head = head_of(line)
        except Unreadable as error:
            return Looked(place, (), Refused(CaptureState.UNREADABLE, str(error)))
        ids = tuple(one for one in head.ids if one in self._terms.spoken_of)
        return Looked(place, ids, self._answer(head)) if ids else None

    def _answer(self, head: Head) -> Usable | Refused:
        time = _time(head)
        age = self._terms.max_age_days
        if age is not None and feedback.age_days(time, self._terms.now) > age:
            return Refused(CaptureState.TOO_OLD, f"answered {time or 'nobody knows when'}")
        try:
            exchange = self._exchanges.read(head)
        except LeftOut as error:
            return Refused(error.state, str(error))
        return Usable(exchange.key, exchange.answer_digest, exchange.calls, exchange.model, time)


def _time(head: Head) -> str:
    try:
        return feedback.utc(head.time) if head.time else ""
    except (ValueError, OverflowError):
        return ""
