"""Prompts, answers and a stand-in for the model, for the tests of Candidates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from steps.candidates.answered import Answer, answered
from steps.candidates.prompts import OWN, Prompt
from steps.candidates.score import Signs
from steps.shared.records import Messages
from steps.train.answers.form import Markers
from steps.train.answers.said import Said

PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "", "parameters": PARAMETERS}}
SIGNS = Signs(Markers(["<|im_end|>"], []), ("<tool_call>", "</tool_call>"))


def call(city: Any = "Oslo", name: str = "get_weather", **other: Any) -> str:
    """A call as Hermes' models write it."""
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': {'city': city, **other}})}\n</tool_call>"


def calling(city: str = "Oslo", name: str = "get_weather") -> Messages:
    function = {"name": name, "arguments": {"city": city}}
    return [{"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": function}]}]


def saying(text: str) -> Messages:
    return [{"role": "assistant", "content": text}]


def prompt(text: str = "Will it rain in Oslo?", tools: bool = True, **known: Any) -> Prompt:
    messages = [{"role": "user", "content": text}]
    return Prompt(messages, [TOOL] if tools else None, {}, f"{hash(text):032x}"[-32:], OWN, "a.jsonl", 1, **known)


def answer(
    text: str, number: int = 0, *, ended: bool = True, tools: bool = True, parser: str | None = "hermes"
) -> Answer:
    return answered(Said(text, 1 + len(text.split()), ended), number, parser, [TOOL] if tools else None)


def write(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(row if isinstance(row, str) else f"{json.dumps(row)}\n" for row in rows))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
