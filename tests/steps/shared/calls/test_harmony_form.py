"""gpt-oss's channels: a message to a function is a call, what is on final is the answer."""

from __future__ import annotations

import pytest

from steps.shared.calls.call import Call
from steps.shared.calls.parsers import parse

OSLO = Call("get_weather", {"city": "Oslo"})
THINK = "<|channel|>analysis<|message|>They ask about Oslo, to=functions.nothing.<|end|>"
CALL = '<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "Oslo"}'


@pytest.mark.parametrize(
    ("text", "calls", "content"),
    [
        (CALL, (OSLO,), ""),
        (f"{CALL}<|call|>", (OSLO,), ""),
        (f"{THINK}<|start|>assistant{CALL}<|call|>", (OSLO,), ""),
        (' to=functions.get_weather<|channel|>commentary json<|message|>{"city": "Oslo"}', (OSLO,), ""),
        (f"<|channel|>commentary<|message|>I look.<|end|><|start|>assistant{CALL}", (OSLO,), "I look."),
        (f"{CALL}<|call|><|start|>assistant{CALL}<|call|>", (OSLO, OSLO), ""),
        (f"{THINK}<|start|>assistant<|channel|>final<|message|>It rains.", (), "It rains."),
        (THINK, (), ""),
        ("It rains.", (), "It rains."),
    ],
)
def test_calls_and_answers_are_read_from_their_channels(text: str, calls: tuple[Call, ...], content: str) -> None:
    parsed = parse("openai", text)
    assert (parsed.calls, parsed.content, parsed.broken) == (calls, content, None)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<|channel|>commentary to=functions.get_weather", "the call has no arguments"),
        ("<|channel|>commentary to=functions.get_weather<|end|>", "the call has no arguments"),
        (CALL[:-1], "the call is not JSON (Expecting ',' delimiter)"),
    ],
)
def test_a_call_that_begins_and_cannot_be_read_is_told_with_its_reason(text: str, why: str) -> None:
    parsed = parse("openai", text)
    assert (parsed.calls, parsed.content, parsed.broken) == ((), text, why)
