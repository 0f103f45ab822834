"""An answer of the model as a message of a row: its reasoning, its calls, and the text beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from steps.shared.calls.call import Call, Parsed
from steps.shared.calls.parsers import parse, without_reasoning
from steps.shared.records import Tools
from steps.shared.templates.blocks import BLOCKS
from steps.train.answers.said import Said


@dataclass(frozen=True)
class Answer:
    """
    Attributes:
        said: what the model wrote.
        number: which of the prompt's answers it is, from 0.
        message: the same as a message of a row.
        content: the text beside calls and reasoning.
        read: whether calls can be read: there is a parser.
        broken: why a call that begins could not be read; its text then stands in the message as it is.
    """

    said: Said
    number: int
    message: dict[str, Any]
    content: str
    calls: tuple[Call, ...]
    read: bool
    broken: str | None


def answered(said: Said, number: int, parser: str | None, tools: Tools) -> Answer:
    """
    Args:
        parser: one of calls.parsers.PARSERS; None: all is text.
    """
    reads = parser is not None and bool(tools)
    rest = without_reasoning(said.text)
    parsed = parse(parser, said.text, tools) if parser and tools else Parsed((), rest.strip())
    message: dict[str, Any] = {"role": "assistant", "content": parsed.content}
    if thought := _reasoning(said.text, rest):
        message["reasoning_content"] = thought
    if parsed.calls:
        message["tool_calls"] = [_call(call) for call in parsed.calls]
    return Answer(said, number, message, parsed.content, parsed.calls, reads, parsed.broken)


def _call(call: Call) -> dict[str, Any]:
    return {"type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _reasoning(text: str, rest: str) -> str:
    """What stands before the answer, without the marks around it."""
    thought = text[: len(text) - len(rest)] if rest and text.endswith(rest) else "" if rest else text
    for opened, closed in BLOCKS:
        thought = thought.strip().removesuffix(closed).removeprefix(opened)
    return thought.strip()
