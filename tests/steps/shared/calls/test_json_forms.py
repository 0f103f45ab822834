"""Calls as JSON between marks: each family's form as it is documented, and what is broken in it."""

from __future__ import annotations

import pytest

from steps.shared.calls.call import Call
from steps.shared.calls.json_forms import between
from steps.shared.calls.parsers import parse

OSLO = Call("get_weather", {"city": "Oslo", "days": [1, 2]})
LIST = Call("list_harbours", {})
CALL = '{"name": "get_weather", "arguments": {"city": "Oslo", "days": [1, 2]}}'
PARAMETERS = CALL.replace("arguments", "parameters")
SECOND = '{"name": "list_harbours", "arguments": {}}'


@pytest.mark.parametrize(
    ("parser", "text", "calls", "content"),
    [
        ("hermes", f"<tool_call>\n{CALL}\n</tool_call>", (OSLO,), ""),
        ("hermes", f"I look.\n<tool_call>{CALL}</tool_call>\n<tool_call>{SECOND}</tool_call>", (OSLO, LIST), "I look."),
        ("hermes", f"<tool_call>{CALL}", (OSLO,), ""),
        ("granite4", f"<tool_call>\n{CALL}\n</tool_call>", (OSLO,), ""),
        ("llama3_json", PARAMETERS, (OSLO,), ""),
        ("llama3_json", f"<|python_tag|>{PARAMETERS}; {SECOND}", (OSLO, LIST), ""),
        ("llama3_json", f"I look: {CALL} and see {{}} {{ ", (OSLO,), ""),
        ("llama4_json", PARAMETERS, (OSLO,), ""),
        ("mistral", f"[TOOL_CALLS][{CALL}, {SECOND}]", (OSLO, LIST), ""),
        ("mistral", f"I look.[TOOL_CALLS] [{CALL}]", (OSLO,), "I look."),
        (
            "mistral",
            '[TOOL_CALLS]get_weather[ARGS]{"city": "Oslo", "days": [1, 2]}[TOOL_CALLS]list_harbours[ARGS]{}',
            (OSLO, LIST),
            "",
        ),
        ("mistral", "[TOOL_CALLS]list_harbours{}", (LIST,), ""),
        ("mistral", "[TOOL_CALLS]list_harbours[CALL_ID]call00001[ARGS]{}", (LIST,), ""),
        ("granite", f"<|tool_call|>[{CALL}]", (OSLO,), ""),
        ("granite", f"<tool_call>[{CALL}, {SECOND}]", (OSLO, LIST), ""),
        ("granite", f"[{CALL}]", (OSLO,), ""),
        ("jamba", f"I look.<tool_calls>[\n{CALL},\n{SECOND}\n]</tool_calls>", (OSLO, LIST), "I look."),
        ("phi4_mini_json", f"functools[{CALL}, {SECOND}]", (OSLO, LIST), ""),
        ("internlm", f"I look.<|action_start|><|plugin|>{PARAMETERS}<|action_end|>", (OSLO,), "I look."),
    ],
)
def test_calls_are_read_in_the_form_of_their_family(
    parser: str, text: str, calls: tuple[Call, ...], content: str
) -> None:
    parsed = parse(parser, text)
    assert (parsed.calls, parsed.content, parsed.broken) == (calls, content, None)


@pytest.mark.parametrize(
    ("parser", "text"),
    [
        ("hermes", CALL),
        ("llama3_json", 'Say {"greeting": "hello"} to them, or {nothing}.'),
        ("llama3_json", "The set {1, 2}."),
        ("mistral", CALL),
        ("granite", "[1] says so."),
        ("jamba", "tool_calls"),
        ("phi4_mini_json", "functools is a module."),
        ("internlm", "<|action_start|>"),
    ],
)
def test_a_text_without_the_familys_marks_is_a_text(parser: str, text: str) -> None:
    parsed = parse(parser, text)
    assert (parsed.calls, parsed.content, parsed.broken) == ((), text, None)


@pytest.mark.parametrize(
    ("parser", "text", "why"),
    [
        ("hermes", "<tool_call></tool_call>", "the call is not JSON (Expecting value)"),
        ("hermes", f"<tool_call>{CALL[:-1]}</tool_call>", "the call is not JSON (Expecting ',' delimiter)"),
        ("hermes", f"<tool_call>{CALL}</tool_call><tool_call>{{</tool_call>", "the call is not JSON (Expecting"),
        ("hermes", f"<tool_call>{PARAMETERS}</tool_call>", "the call has no arguments"),
        ("hermes", f"<tool_call>[{CALL}]</tool_call>", "the call is no object"),
        ("hermes", '<tool_call>{"arguments": {}}</tool_call>', "the call has no name"),
        ("llama3_json", PARAMETERS[:-2], "the call is not JSON (Expecting ',' delimiter)"),
        ("llama3_json", "<|python_tag|>print(1)", "no call follows <|python_tag|>"),
        ("mistral", "[TOOL_CALLS]get_weather", "neither a list of calls nor a name with arguments follows"),
        ("mistral", f"[TOOL_CALLS][{CALL}", "the call is not JSON (Expecting ',' delimiter)"),
        ("mistral", '[TOOL_CALLS][{"name": "f"}]', "the call has no arguments"),
        ("granite", f"<|tool_call|>{CALL}", "the calls are no list"),
        ("granite", f"<|tool_call|>[{CALL}", "the call is not JSON (Expecting ',' delimiter)"),
        ("jamba", f"<tool_calls>[{CALL}]", "<tool_calls> is not closed"),
        ("jamba", f"<tool_calls>{CALL}</tool_calls>", "the calls are no list"),
        ("phi4_mini_json", "functools[5]", "the call is no object"),
        ("internlm", "<|action_start|><|plugin|>get_weather()<|action_end|>", "the call is not JSON"),
    ],
)
def test_a_call_that_begins_and_cannot_be_read_is_told_with_its_reason(parser: str, text: str, why: str) -> None:
    parsed = parse(parser, text)
    assert parsed.calls == () and parsed.content == text.strip()
    assert parsed.broken and parsed.broken.startswith(why)


def test_what_stands_between_marks_goes_to_the_end_where_the_last_is_not_closed() -> None:
    assert list(between("a<1>b</1>c<1>d", "<1>", "</1>")) == ["b", "d"]
    assert list(between("</1>a", "<1>", "</1>")) == []
