"""What the tiny model learns from: every answer of the sample, and its calls told again with other names and numbers.

A call can be learned by heart or by looking its arguments up in the conversation. So that it is the latter, each call
all of whose values were said is told again some times: other values of the same arguments stand in the question and
in the call, values that the sample has for them. Those that nobody said (a wrong call makes them up) are no lesson.
"""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TOLD_AGAIN = 5
Message = dict[str, Any]


@dataclass(frozen=True)
class Lesson:
    """A conversation with the tools that may be used, and one answer to it."""

    tools: list[dict[str, Any]]
    messages: list[Message]
    answer: Message

    @property
    def arguments(self) -> Iterator[tuple[str, Any]]:
        """Name and value of each argument of each call of the answer."""
        for _, arguments in _calls(self.answer):
            yield from arguments.items()

    def said(self, value: Any) -> bool:
        """Somebody but the assistant has named the value, as it is written in a call."""
        return any(_whole(value).search(message["content"]) for message in self.messages if _by_person(message))

    @property
    def copies(self) -> bool:
        """The answer calls, and all that it calls with was said: so only calls that can be right are told again."""
        values = [value for _, value in self.arguments]
        return bool(values) and all(self.said(value) for value in values)


def lessons(rows: Sequence[Mapping[str, Any]]) -> list[Lesson]:
    """Both answers of every row, right and wrong alike."""
    return [Lesson(row["tools"], row["messages"], answer) for row in rows for answer in row["answers"]]


def told_again(rng: random.Random, known: Sequence[Lesson]) -> list[Lesson]:
    """Each lesson that copies, TOLD_AGAIN times with other values of its arguments."""
    values = _values(known)
    return [_with_other_values(rng, lesson, values) for lesson in known if lesson.copies for _ in range(TOLD_AGAIN)]


def _values(known: Sequence[Lesson]) -> dict[tuple[str, str], list[Any]]:
    """Function and argument -> the values that the sample has for it."""
    found: dict[tuple[str, str], dict[Any, None]] = {}
    for lesson in known:
        for function, arguments in _calls(lesson.answer):
            for name, value in arguments.items():
                if isinstance(value, str | int):
                    found.setdefault((function, name), {})[value] = None
    return {key: list(values) for key, values in found.items()}


def _with_other_values(rng: random.Random, lesson: Lesson, values: Mapping[tuple[str, str], Sequence[Any]]) -> Lesson:
    messages, answer = copy.deepcopy(lesson.messages), copy.deepcopy(lesson.answer)
    for function, arguments in _calls(answer):
        taken = [*arguments.values()]
        for name, value in arguments.items():
            other = rng.choice(values.get((function, name)) or [value])
            # A value that another argument has could not be told from it.
            if other not in taken and _replace(messages, value, other):
                arguments[name] = other
                taken.append(other)
    return Lesson(lesson.tools, messages, answer)


def _calls(answer: Message) -> Iterator[tuple[str, dict[str, Any]]]:
    """Function and arguments of each call of an answer; arguments that are no object are left out."""
    for call in answer.get("tool_calls") or []:
        if isinstance(call["function"].get("arguments"), dict):
            yield call["function"]["name"], call["function"]["arguments"]


def _replace(messages: Sequence[Message], value: Any, other: Any) -> bool:
    """Say the other value where the first was said first; False where it was not said."""
    for message in messages:
        if _by_person(message) and _whole(value).search(message["content"]):
            message["content"] = _whole(value).sub(lambda _: str(other), message["content"], count=1)
            return True
    return False


def _by_person(message: Mapping[str, Any]) -> bool:
    return message["role"] == "user" and isinstance(message["content"], str)


def _whole(value: Any) -> re.Pattern[str]:
    """The value as words of their own; at the beginning of a sentence a text has a capital."""
    return re.compile(rf"(?<!\w){re.escape(str(value))}(?!\w)", re.IGNORECASE)
