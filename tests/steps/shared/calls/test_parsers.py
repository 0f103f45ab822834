"""All forms together: what real templates write is read back, and any text whatever is read in time."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.shared.calls.call import Call
from steps.shared.calls.compare import compare
from steps.shared.calls.parsers import PARSERS, in_reasoning, parse, without_reasoning
from steps.shared.calls.token_forms import DEEPSEEK_BETWEEN, DEEPSEEK_CALL, DEEPSEEK_CALLS
from steps.shared.contract import StepError
from steps.shared.serving import TEMPLATE_MARKS, TOOL_CALL_PARSERS
from steps.shared.templates.refused import RowRefused
from tests import growth
from tests.steps.shared.calls.written import templates, tools_for, written

# Of each form the marks, and what may stand between them.
MARKS = (
    *("<tool_call>", "</tool_call>", "<|tool_call|>", "<tool_calls>", "</tool_calls>", "<seed:tool_call>"),
    *("<function=f>", "<function=", "</function>", "<parameter=a>", "<parameter=", "</parameter>", "<function_calls>"),
    *("<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", "<|python_tag|>", "<|python_start|>", "functools["),
    *("<|tool_call_start|>", "<|tool_call_end|>", "[TOOL_CALLS]", "[ARGS]", "[CALL_ID]", "<|tool_call>call:f{"),
    *('<|"|>', "<tool_call|>", "<|action_start|><|plugin|>", "<|action_end|>", "<|channel|>commentary", "<|message|>"),
    *(" to=functions.f", "<|start|>assistant", "<|end|>", "<|call|>", "<|tool_calls_section_begin|>"),
    *("<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>", "functions.f:0"),
    *("<\uff5ctool\u2581calls\u2581begin\uff5c>", "<\uff5ctool\u2581call\u2581begin\uff5c>"),
    *("<\uff5ctool\u2581sep\uff5c>", "<\uff5ctool\u2581call\u2581end\uff5c>", "\n```json\n", "\n```"),
    *("<think>", "</think>", "[THINK]", "[/THINK]", "<|channel>thought", "<channel|>"),
    *("{", "}", "[", "]", "(", ")", '"', "'", ",", ":", ";", "=", " ", "\n", "\\", "-", "a", "f(", "1", "null"),
    *('{"name": "f", "arguments": {"a": 1}}', '{"name": "f", "parameters": {}}', '"name": ', "[f(a=1)]", "1e999"),
)
SINGLE = ("gptoss", "llama3_1", "llama3_2")  # templates that have one call a message
FIND = Call("find_ship", {"port": "Oslo", "day": 3, "open": True, "where": {"a": [1, 2.5, "x"]}, "to": ["a", "b"]})
LIST = Call("list_harbours", {})


def conversations() -> Iterator[tuple[str, tuple[Call, ...]]]:
    for name in templates():
        yield name, (FIND,)
        yield name, (LIST,)
        if name not in SINGLE:
            yield name, (FIND, LIST)
            yield name, (LIST, FIND, FIND)


def test_the_templates_of_many_families_are_there() -> None:
    parsers = {parser for parser, _ in templates().values()}
    assert parsers == {"hermes", "qwen3_coder", "glm45", "llama3_json", "deepseek_v3", "openai", "gemma4", "lfm2"}


def test_what_a_familys_template_writes_its_parser_reads_back() -> None:
    for name, calls in conversations():
        parser, template = templates()[name]
        tools = tools_for(FIND, LIST)
        parsed = parse(parser, written(template, tools, *calls), tools)
        assert (parsed.calls, parsed.content, parsed.broken) == (calls, "", None), name


def test_what_is_said_before_the_calls_is_the_content() -> None:
    read = 0
    for name, (parser, template) in templates().items():
        try:
            text = written(template, tools_for(FIND), FIND, content="I look it up.")
        except RowRefused:  # the template has no place for it
            continue
        parsed = parse(parser, text, tools_for(FIND))
        assert parsed.calls == (FIND,), name
        read += parsed.content == "I look it up."  # Gemma's and gpt-oss's put it where it is no answer
    assert read >= 15


# What no form gives a meaning of its own; forms without types lose the blanks around a text, and 'null' for nothing.
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C"], exclude_characters="<>|{}[]\"'\\"), max_size=12)
TEXTS = WORDS.map(str.strip).filter(lambda text: not re.fullmatch(r"(?i)[-+\d.e]*|true|false|null|none|nil|nan", text))
KEYS = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True).filter(lambda key: key not in ("is", "in", "if", "as", "or"))
SCALARS = TEXTS | st.integers(-(2**53), 2**53) | st.booleans() | st.floats(-1e6, 1e6).map(lambda x: round(x, 3) + 0.0)
ARGUMENTS = st.dictionaries(KEYS, SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(KEYS, SCALARS, max_size=2))


@settings(max_examples=15)
@given(ARGUMENTS)
def test_arguments_of_all_kinds_are_read_back_from_every_template(arguments: dict[str, object]) -> None:
    call = Call("find_ship", arguments)
    tools = tools_for(call)
    read = 0
    for name, (parser, template) in templates().items():
        try:
            text = written(template, tools, call)
        except RowRefused:  # such as an argument that the template leaves out
            continue
        parsed = parse(parser, text, tools)
        assert compare((call,), parsed.calls, tools).right, (name, text, parsed)
        read += 1
    assert read >= 5


@settings(max_examples=300)
@given(st.lists(st.sampled_from(MARKS) | st.text(max_size=5), max_size=25).map("".join))
def test_no_text_whatever_raises_and_what_is_read_is_json(text: str) -> None:
    for parser in PARSERS:
        parsed = parse(parser, text)
        assert not (parsed.calls and parsed.broken)
        assert compare(parsed.calls, parsed.calls, None).right


# What a model may write again and again in each form: a beginning, and what is repeated after it.
JSON_ENDLESS = ('{"a": ', "{", '"', "[", '{"name": "f", "arguments": {}}', " ")
ENDLESS = {
    "hermes": (("", "<tool_call>"), ("", '<tool_call>{"name": "f", "arguments": {}}</tool_call>'), ("", "<think>")),
    "qwen3_coder": (("", "<tool_call>"), ("", "<function=f>"), ("<function=f>", "<parameter=a>"), ("", "<function=")),
    "seed_oss": (("", "<seed:tool_call>"), ("<seed:tool_call><function=f>", "<parameter=a>[")),
    "glm45": (("", "<tool_call>"), ("<tool_call>f", "<arg_key>a</arg_key><arg_value>"), ("<tool_call>", " ")),
    "llama3_json": tuple(("", text) for text in JSON_ENDLESS),
    "mistral": (("", "[TOOL_CALLS]"), ("", "[TOOL_CALLS]f{}"), ("[TOOL_CALLS]f", " "), ("[TOOL_CALLS]", "f")),
    "granite": tuple(("<|tool_call|>[", text) for text in JSON_ENDLESS),
    "jamba": (("", "<tool_calls>"), ("<tool_calls>", "[")),
    "phi4_mini_json": (("", "functools["), ("functools[", '{"name": "f", "arguments": {}},')),
    "internlm": (("", "<|action_start|><|plugin|>"),),
    "deepseek_v3": tuple((DEEPSEEK_CALLS, text) for text in (DEEPSEEK_CALLS, *DEEPSEEK_CALL, DEEPSEEK_BETWEEN)),
    "deepseek_v31": ((DEEPSEEK_CALLS, f"{DEEPSEEK_CALL[0]}f{DEEPSEEK_BETWEEN}{{}}{DEEPSEEK_CALL[1]}"),),
    "kimi_k2": (("<|tool_calls_section_begin|>", "<|tool_call_begin|>"), ("", "<|tool_calls_section_begin|>")),
    "openai": (("", "<|start|>assistant"), ("", "<|message|>{}<|end|>"), ("", " to=functions.f"), ("", "<|channel|>")),
    "gemma4": (("<|tool_call>call:f{a:", '<|"|>'), ("<|tool_call>call:f{", "a:1,"), ("<|tool_call>call:f{a:", " ")),
    "pythonic": (("[f(a=", "-"), ("[f(a=", "["), ("[", "f(a=1),"), ("[f(a=", "'x'"), ("[f(a", " ")),
    "lfm2": (("", "<|tool_call_start|>"), ("<|tool_call_start|>[]", "<|tool_call_end|>")),
    "olmo3": (("<function_calls>", "f(a=1)\n"),),
}


@pytest.mark.parametrize("parser", ENDLESS)
def test_reading_takes_time_in_proportion_to_the_text(parser: str) -> None:
    def read_all(size: int) -> None:
        for begin, again in ENDLESS[parser]:
            parse(parser, begin + again * (size // len(again)))

    assert growth.is_linear(read_all, 5_000)


def test_a_name_that_is_not_known_here_is_refused_with_those_that_are() -> None:
    with pytest.raises(StepError) as error:
        parse("xlam", "text")
    known = ", ".join(PARSERS)
    assert str(error.value) == f"tool_call_parser: xlam is not read here; name one of {known}, or none"


def test_every_parser_that_the_endpoint_gets_is_read_here() -> None:
    assert {parser for _, parser in TOOL_CALL_PARSERS} <= PARSERS.keys()
    assert {parser for parser, _, _ in TEMPLATE_MARKS} <= PARSERS.keys()


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("It rains.", "It rains."),
        ("<think>\nOslo?\n</think>\n\nIt rains.", "\n\nIt rains."),
        ("They ask about Oslo.\n</think>\n\nIt rains.", "\n\nIt rains."),
        ("<think>\nThey ask about", ""),
        ("The tag <think> and the tag </think> are XML.", "The tag <think> and the tag </think> are XML."),
        ("<think></think>a</think>b", "a</think>b"),
        ("[THINK]Oslo?[/THINK]It rains.", "It rains."),
        ("<|channel>thought\nOslo?<channel|>It rains.", "It rains."),
    ],
)
def test_reasoning_before_an_answer_is_left_out(text: str, answer: str) -> None:
    assert without_reasoning(text) == answer


def test_a_call_in_reasoning_is_none() -> None:
    call = '<tool_call>{"name": "f", "arguments": {}}</tool_call>'
    assert parse("hermes", f"<think>{call}</think>It rains.").calls == ()
    assert parse("hermes", f"<think>Now.</think>{call}").calls == (Call("f", {}),)


@pytest.mark.parametrize(
    ("text", "prompt", "inside"),
    [
        ("<think>\nLet me see", "user\n", True),
        ("<think>\nLet me see\n</think>\n\nOslo", "user\n", False),
        ("Let me see", "user\n<think>\n", True),
        ("Let me see\n</think>\nOslo", "user\n<think>\n", False),
        ("Oslo", "user\n<think>\n\n</think>\n\n", False),
        ("Oslo <think>", "user\n", False),
        ("", "", False),
    ],
)
def test_an_answer_may_end_in_its_reasoning(text: str, prompt: str, inside: bool) -> None:
    assert in_reasoning(text, prompt) is inside
