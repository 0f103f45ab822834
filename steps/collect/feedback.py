"""Feedback as JSON Lines: one opinion of a person on one answer a line.

    {"inference_id": "…", "verdict": "up" | "down" | -2 … 2, "correction": "text" | {message}, "reason": "…",
     "by": "…", "at": "2026-11-29T08:00:00Z"}

`inference_id` and one of `verdict` and `correction` must be there; a correction without a verdict is a `down`. `by` is
whoever thinks so, by whatever name the application has for people. Lines without `by` about one answer are taken as of
one person. `at` is ISO 8601, UTC where it names no zone; lines without one are older than all others, in the order in
which they stand. The form's writer is pipeline/feedback.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from steps.collect.captures import Unreadable, jsonl_files
from steps.collect.exchange import read_messages
from steps.collect.states import FeedbackState
from steps.preprocess.rows.reasons import InvalidRow
from steps.preprocess.rows.turn_order import check_answer
from steps.shared.contract import shortened

WORDS = {"up": 1, "down": -1}
VERDICTS = (-2, -1, 0, 1, 2)
FIELDS = ("inference_id", "verdict", "correction", "reason", "by", "at")
LONGEST_ID = 256


@dataclass(slots=True, eq=False)
class Opinion:
    """What one line says.

    Attributes:
        verdict: -2 to 2.
        correction: the message that should have been the answer, as canonical JSON; None where there is none.
        at: ISO 8601 in UTC, so that texts compare as times; empty where the line has none.
        place: (file, line).
        state: what became of it; None until it is known.
    """

    id: str
    verdict: int
    correction: bytes | None
    by: str | None
    at: str
    place: tuple[str, int]
    reason: str | None = None
    state: FeedbackState | None = field(default=None)

    @property
    def order(self) -> tuple[str, tuple[str, int]]:
        """Later opinions compare higher."""
        return self.at, self.place


def lines(folder: Path) -> Iterator[tuple[str, int, bytes]]:
    """(file, number, line) of all lines that are not blank, by the files' names; raises StepError as jsonl_files."""
    for path in jsonl_files(folder):
        name = path.relative_to(folder).as_posix()
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if not line.isspace():
                    yield name, number, line


def opinion_of(line: bytes, file: str, number: int) -> Opinion:
    """
    Raises:
        Unreadable: it is no feedback.
    """
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"not JSON ({error})") from None
    if not isinstance(value, dict):
        raise Unreadable("not an object")
    unknown = sorted(set(value) - set(FIELDS))
    if unknown:
        raise Unreadable(f"unknown: {shortened(', '.join(unknown))}; known: {', '.join(FIELDS)}")
    named = value.get("inference_id")
    if not isinstance(named, str) or not named.strip() or len(named) > LONGEST_ID:
        raise Unreadable(f"inference_id must be a text of 1 to {LONGEST_ID} characters")
    correction = _correction(value.get("correction"), line)
    verdict = _verdict(value.get("verdict"), correction is not None)
    by, reason = (_text(value, name) for name in ("by", "reason"))
    return Opinion(named, verdict, correction, by, _time(value.get("at")), (file, number), reason)


def _verdict(value: Any, corrects: bool) -> int:
    if value is None and corrects:
        return -1
    if isinstance(value, str) and value in WORDS:
        return WORDS[value]
    if isinstance(value, int | float) and not isinstance(value, bool) and value in VERDICTS:
        return int(value)
    raise Unreadable("verdict must be up, down, or a whole number from -2 to 2; without one there must be a correction")


def _correction(value: Any, line: bytes) -> bytes | None:
    if value is None:
        return None
    if not isinstance(value, str | dict):
        raise Unreadable("correction must be a text or a message")
    if isinstance(value, dict) and "role" not in value and "from" not in value:
        value = {"role": "assistant", **value}
    try:
        answer = read_messages(value, "correction", line)
        check_answer(answer, "correction")
    except InvalidRow as error:
        raise Unreadable(str(error)) from None
    return orjson.dumps(answer)


def _text(value: dict[str, Any], name: str) -> str | None:
    given = value.get(name)
    if given is not None and not isinstance(given, str):
        raise Unreadable(f"{name} must be a text")
    return given or None


def _time(value: Any) -> str:
    if value is None:
        return ""
    try:
        return utc(value)
    except (TypeError, ValueError, OverflowError):
        raise Unreadable("at must be a time in ISO 8601, such as 2026-11-29T08:00:00Z") from None


def utc(text: str) -> str:
    """A time in ISO 8601 as one in UTC, so that texts compare as times.

    Raises:
        TypeError, ValueError, OverflowError: it is none.
    """
    moment = datetime.fromisoformat(text)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds")


def age_days(time: str, now: datetime) -> float:
    """Days between a time of `utc` and now; infinite where there is no time."""
    return (now - datetime.fromisoformat(time)).total_seconds() / 86_400 if time else math.inf
