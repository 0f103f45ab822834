"""Calls as Python: literals are read, and nothing is run."""

from __future__ import annotations

import warnings

import pytest

from steps.shared.calls.call import Call
from steps.shared.calls.parsers import parse

OSLO = Call("get_weather", {"city": "Oslo", "days": -3, "at": [1, {"a": None}], "now": True})
LIST = Call("api.list_harbours", {})
FIRST = "get_weather(city='Oslo', days=-3, at=[1, {'a': None}], now=True)"
CALLS = f"[{FIRST}, api.list_harbours()]"


@pytest.mark.parametrize(
    ("parser", "text", "calls", "content"),
    [
        ("pythonic", CALLS, (OSLO, LIST), ""),
        ("pythonic", f" [\n{FIRST.replace('True', 'true').replace('None', 'null')}]\n", (OSLO,), ""),
        ("llama4_pythonic", CALLS, (OSLO, LIST), ""),
        ("llama4_pythonic", f"<|python_start|>{CALLS}<|python_end|>", (OSLO, LIST), ""),
        ("lfm2", f"I look.<|tool_call_start|>{CALLS}<|tool_call_end|>", (OSLO, LIST), "I look."),
        ("lfm2", f"<|tool_call_start|>{CALLS}<|tool_call_end|>{CALLS}<|tool_call_end|>Done.", (OSLO, LIST), "Done."),
        ("olmo3", f"I look.<function_calls>\n{FIRST}\napi.list_harbours()\n</function_calls>", (OSLO, LIST), "I look."),
    ],
)
def test_calls_are_read_in_the_form_of_their_family(
    parser: str, text: str, calls: tuple[Call, ...], content: str
) -> None:
    parsed = parse(parser, text)
    assert (parsed.calls, parsed.content, parsed.broken) == (calls, content, None)


def test_an_argument_without_a_keyword_is_left_out_as_vllm_does() -> None:
    assert parse("pythonic", "[f('Oslo', days=2)]").calls == (Call("f", {"days": 2}),)


@pytest.mark.parametrize("text", ["[1, 2]", "f(a=1)", "I call [f(a=1)].", "[see (below)]", "[]"])
def test_what_does_not_begin_as_a_list_of_calls_is_a_text(text: str) -> None:
    parsed = parse("pythonic", text)
    assert (parsed.calls, parsed.content, parsed.broken) == ((), text, None)


@pytest.mark.parametrize(
    ("parser", "text", "why"),
    [
        ("pythonic", "[f(a=1)", "the calls are no list of Python calls"),
        ("pythonic", "[f(a=1), 2]", "the calls are no list of Python calls"),
        ("pythonic", "[f(a=g())]", "its arguments are no literals"),
        ("pythonic", "[f(a=open)]", "its arguments are no literals"),
        ("pythonic", "[f(a=[x for x in y])]", "its arguments are no literals"),
        ("pythonic", "[f(a={1: 2})]", "a key of its arguments is no string"),
        ("pythonic", "[f(a={**b})]", "a key of its arguments is no string"),
        ("pythonic", "[f(a=b'x')]", "its arguments hold what JSON cannot say"),
        ("pythonic", "[f(a=1e999)]", "its arguments hold what JSON cannot say"),
        ("pythonic", "[f()()]", "what is called is no name"),
        ("pythonic", f"[f(a={'[' * 70}{']' * 70})]", "its arguments are nested more than 64 deep"),
        ("pythonic", f"[f(a={'-' * 50_000}1)]", "the calls are no list of Python calls"),
        ("pythonic", "[f(a='\0')]", "the calls are no list of Python calls"),
        ("pythonic", f"[f(a='{'x' * 200_000}')]", "the calls are longer than 100000 characters"),
        ("lfm2", "<|tool_call_start|>[]<|tool_call_end|>", "the calls are no list of Python calls"),
        ("olmo3", "<function_calls></function_calls>", "the calls are no list of Python calls"),
    ],
)
def test_a_call_that_begins_and_cannot_be_read_is_told_with_its_reason(parser: str, text: str, why: str) -> None:
    parsed = parse(parser, text)
    assert (parsed.calls, parsed.content, parsed.broken) == ((), text, why)


def test_a_backslash_that_escapes_nothing_warns_nobody() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parse("pythonic", r"[f(a='\d')]").calls == (Call("f", {"a": r"\d"}),)
