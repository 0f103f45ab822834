"""Which lines of captures and feedback are a person's, or about an answer that is named by its id.

An id: that capture, and everything said of it. A person: what they said (`by`), the requests that name them (`user` or
`safety_identifier`, the fields of a chat completion for it), and everything said of these; and, where asked for, what
they gave feedback on. Limits: whoever a text speaks of is not looked for; a line that is no JSON cannot be told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from pipeline.forgetting.places import CAPTURES, FEEDBACK, Place
from steps.collect.captures import SUFFIX, Head, Unreadable, body_of

USERS = ("user", "safety_identifier")


@dataclass(frozen=True)
class Asked:
    """
    Attributes:
        name: a person, or the id of an answer.
        with_answers: also the captures that the person gave feedback on.
    """

    name: str
    with_answers: bool = False


@dataclass
class Lines:
    """
    Attributes:
        captures: files with lines that go, and how many stay in each.
        others: the same of feedback by others, before the person's own lines go.
        own: the same of the person's own feedback, after the others' lines have gone.
        gone: how many lines go, by `captures` and `feedback`.
        captured: the ids of captures that go.
        ids: of everything that goes: earlier runs name them.
        judged: captures that stay though the person gave feedback on them.
        unread: lines that are no JSON.
    """

    captures: dict[str, int] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)
    own: dict[str, int] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=lambda: {CAPTURES: 0, FEEDBACK: 0})
    captured: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    judged: int = 0
    unread: int = 0


@dataclass(frozen=True)
class Whose:
    """Tells of each line whether it goes."""

    asked: Asked
    said_of: frozenset[str]  # ids that the person gave feedback on
    captured: frozenset[str] = frozenset()  # ids of captures that go, and what was asked for

    def capture(self, line: bytes) -> bool:
        value = _parsed(line)
        if value is None:
            return False
        ids = capture_ids(value)
        if self.asked.name in ids or (self.asked.with_answers and ids & self.said_of):
            return True
        return self.asked.name in _users(value)

    def own(self, line: bytes) -> bool:
        """Of feedback: whether the person said it."""
        value = _parsed(line)
        return value is not None and value.get("by") == self.asked.name

    def others(self, line: bytes) -> bool:
        """Of feedback: whether another one said it of a capture that goes."""
        value = _parsed(line)
        if value is None or value.get("by") == self.asked.name:
            return False
        return value.get("inference_id") in self.captured


def find(place: Place, asked: Asked) -> tuple[Lines, Whose]:
    """Read all captures and feedback; what goes, and what tells it line by line."""
    found = Lines()
    said = []  # (file, id, by), so that feedback, often an object a line, is read once
    for name, content in place.contents(_files(place, FEEDBACK)):
        for line in _lines(content):
            value = _parsed(line)
            found.unread += value is None
            said.append((name, value.get("inference_id"), value.get("by")) if value else (name, None, None))
    said_of = frozenset(about for _, about, by in said if by == asked.name and isinstance(about, str))
    whose = Whose(asked, said_of)
    for name, content in place.contents(_files(place, CAPTURES)):
        _look(name, content, whose, found)
    whose = Whose(asked, said_of, frozenset({asked.name, *found.captured}))
    _count_feedback(said, whose, found)
    found.ids |= {asked.name, *found.captured, *said_of}
    return found, whose


def _count_feedback(said: list[tuple[str, Any, Any]], whose: Whose, found: Lines) -> None:
    """
    Args:
        said: (file, id, by) of every line.
    """
    lines, own, others = (Counter[str]() for _ in range(3))
    for name, about, by in said:
        lines[name] += 1
        if by == whose.asked.name:
            own[name] += 1
        elif isinstance(about, str) and about in whose.captured:
            others[name] += 1
    found.gone[FEEDBACK] = own.total() + others.total()
    found.others = {name: lines[name] - count for name, count in others.items()}
    found.own = {name: lines[name] - others[name] - count for name, count in own.items()}


def _look(name: str, content: bytes, whose: Whose, found: Lines) -> None:
    stay = 0
    for line in _lines(content):
        value = _parsed(line)
        if whose.capture(line) and value is not None:
            found.captures[name] = 0
            found.gone[CAPTURES] += 1
            found.captured |= capture_ids(value)
            continue
        stay += 1
        if value is None:
            found.unread += 1
        elif capture_ids(value) & whose.said_of:
            found.judged += 1
    if name in found.captures:
        found.captures[name] = stay


def capture_ids(value: dict[str, Any]) -> set[str]:
    """The ids by which a capture is spoken of."""
    about = value.get("eventMetadata")
    named = (about.get("inferenceId"), about.get("eventId")) if isinstance(about, dict) else ()
    return {one for one in named if isinstance(one, str) and one}


def _users(value: dict[str, Any]) -> set[str]:
    """Who asked, as the request says."""
    data = value.get("captureData")
    try:
        request = orjson.loads(body_of(Head((), None, data if isinstance(data, dict) else {}), "endpointInput"))
    except (Unreadable, orjson.JSONDecodeError):
        return set()
    named = [request.get(key) for key in USERS] if isinstance(request, dict) else []
    return {one for one in named if isinstance(one, str) and one}


def _files(place: Place, folder: str) -> list[str]:
    return [name for name in place.names(folder) if name.endswith(SUFFIX)]


def _lines(content: bytes) -> Iterator[bytes]:
    return (line for line in content.splitlines() if line.strip())


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
