"""Questions and answers as generation hands them on, without a model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from steps.shared.records import Record
from steps.train.answers.said import Answers, Question, Said, Side

PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}
BROKEN = {"type": "function", "function": {"name": "mend", "parameters": {"type": "no such type"}}}


def call(city: Any, name: str = "get_weather", **other: Any) -> str:
    """A call as Hermes' models write it."""
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': {'city': city, **other}})}\n</tool_call>"


def calling(number: int, city: str = "Oslo", tools: Sequence[dict[str, Any]] = (WEATHER,)) -> Question:
    """A question whose chosen answer calls for a city's weather."""
    function = {"name": "get_weather", "arguments": {"city": city}}
    message = {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": function}]}
    return _question(number, f"Will it rain in {city}?", message, call(city), list(tools))


def texting(number: int, chosen: str, *, tools: bool = True) -> Question:
    """A question that is answered in words."""
    return _question(number, "Hello!", {"role": "assistant", "content": chosen}, chosen, [WEATHER] if tools else None)


def _question(
    number: int, asked: str, message: dict[str, Any], chosen: str, tools: list[dict[str, Any]] | None
) -> Question:
    record = Record(
        id=f"row-{number}",
        prompt=[{"role": "user", "content": asked}],
        chosen=[message],
        rejected=[{"role": "assistant", "content": "No."}],
        tools=tools,
        format="chat",
        source_file="chats.jsonl",
        source_line=number + 1,
    )
    return Question(record, f"user: {asked}\nassistant: ", tuple(range(5)), chosen, len(chosen.split()) + 1)


def said(*texts: str, unfinished: bool = False) -> tuple[Said, ...]:
    return tuple(Said(text, max(len(text.split()), 1), not unfinished) for text in texts)


def answers(questions: Sequence[Question], **sides: tuple[Said, ...]) -> Answers:
    """What `base`, `candidate` and, where given, `champion` said to the questions."""
    named: dict[Side, tuple[Said, ...]] = {
        side: sides[side] for side in ("base", "candidate", "champion") if side in sides
    }
    return Answers(
        questions=tuple(questions),
        said=named,
        asked=len(questions) + 1,
        not_asked={"template_no_generation": 2},
        no_champion=None,
        form="served",
        out_of_time=True,
        seconds=1.5,
        tokens=sum(one.tokens for texts in named.values() for one in texts),
    )
