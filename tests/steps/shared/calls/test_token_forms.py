"""Calls in tokens of their own, DeepSeek's and Kimi's: as they are documented, and what is broken in them."""

from __future__ import annotations

import pytest

from steps.shared.calls.call import Call
from steps.shared.calls.parsers import parse
from steps.shared.calls.token_forms import DEEPSEEK_BETWEEN, DEEPSEEK_CALL, DEEPSEEK_CALLS

OSLO = Call("get_weather", {"city": "Oslo", "days": [1, 2]})
LIST = Call("list_harbours", {})
ARGUMENTS = '{"city": "Oslo", "days": [1, 2]}'
BEGIN, END = DEEPSEEK_CALL
KIMI = "<|tool_calls_section_begin|>{}<|tool_calls_section_end|>"
KIMI_CALL = "<|tool_call_begin|>{}<|tool_call_argument_begin|>{}<|tool_call_end|>"


def v3(name: str, arguments: str) -> str:
    return f"{BEGIN}function{DEEPSEEK_BETWEEN}{name}\n```json\n{arguments}\n```{END}"


def v31(name: str, arguments: str) -> str:
    return f"{BEGIN}{name}{DEEPSEEK_BETWEEN}{arguments}{END}"


@pytest.mark.parametrize(
    ("parser", "text", "calls"),
    [
        ("deepseek_v3", f"I look.{DEEPSEEK_CALLS}{v3('get_weather', ARGUMENTS)}", (OSLO,)),
        (
            "deepseek_v3",
            f"I look.{DEEPSEEK_CALLS}{v3('get_weather', ARGUMENTS)}\n{v3('list_harbours', '{}')}",
            (OSLO, LIST),
        ),
        ("deepseek_v31", f"I look.{DEEPSEEK_CALLS}{v31('get_weather', ARGUMENTS)}", (OSLO,)),
        ("kimi_k2", "I look." + KIMI.format(KIMI_CALL.format("functions.get_weather:0", ARGUMENTS)), (OSLO,)),
        (
            "kimi_k2",
            "I look."
            + KIMI.format(KIMI_CALL.format("get_weather:0", ARGUMENTS) + KIMI_CALL.format("list_harbours:1", "{}")),
            (OSLO, LIST),
        ),
    ],
)
def test_calls_are_read_in_the_form_of_their_family(parser: str, text: str, calls: tuple[Call, ...]) -> None:
    parsed = parse(parser, text)
    assert (parsed.calls, parsed.content, parsed.broken) == (calls, "I look.", None)


@pytest.mark.parametrize("parser", ["deepseek_v3", "deepseek_v31", "kimi_k2"])
def test_a_text_without_the_mark_of_calls_is_a_text(parser: str) -> None:
    assert parse(parser, f"{BEGIN}{DEEPSEEK_BETWEEN}<|tool_call_begin|>").calls == ()
    assert parse(parser, BEGIN).broken is None


@pytest.mark.parametrize(
    ("parser", "text", "why"),
    [
        ("deepseek_v3", DEEPSEEK_CALLS, "the calls begin, and none follows"),
        ("deepseek_v3", f"{DEEPSEEK_CALLS}{v31('f', '{}')}", "the arguments stand in no block of JSON"),
        ("deepseek_v3", f"{DEEPSEEK_CALLS}{v3('', '{}')}", "the call has no name"),
        ("deepseek_v3", f"{DEEPSEEK_CALLS}{BEGIN}f{END}", f"no {DEEPSEEK_BETWEEN} in the call"),
        ("deepseek_v31", f"{DEEPSEEK_CALLS}{v31('f', '{')}", "the call is not JSON"),
        ("kimi_k2", KIMI.format(""), "the calls begin, and none follows"),
        ("kimi_k2", KIMI.format(KIMI_CALL.format("functions.f", "{}")), "the call has no number"),
        ("kimi_k2", KIMI.format(KIMI_CALL.format("functions.f:0", "")), "the call is not JSON"),
    ],
)
def test_a_call_that_begins_and_cannot_be_read_is_told_with_its_reason(parser: str, text: str, why: str) -> None:
    parsed = parse(parser, text)
    assert parsed.calls == () and parsed.broken and parsed.broken.startswith(why)
