"""Calls in tags: what an argument's text says by its schema, and what is broken in a call."""

from __future__ import annotations

from typing import Any

import pytest

from steps.shared.calls.call import Call
from steps.shared.calls.parsers import parse
from steps.shared.calls.xml_forms import typed
from tests.steps.shared.calls.written import tool

TOOLS = [
    tool(
        "get_weather",
        {"city": {"type": "string"}, "days": {"type": "integer"}, "at": {"type": "array"}, "now": {"type": "boolean"}},
    ),
    tool("list_harbours", {}),
]
OSLO = Call("get_weather", {"city": "Oslo", "days": 3, "at": [1, {"a": None}], "now": True})
LIST = Call("list_harbours", {})
BODY = (
    "<function=get_weather>\n<parameter=city>\nOslo\n</parameter>\n<parameter=days>\n3\n</parameter>\n"
    '<parameter=at>\n[1, {"a": null}]\n</parameter>\n<parameter=now>\nTrue\n</parameter>\n</function>\n'
)
QWEN = f"<tool_call>\n{BODY}</tool_call>"
GLM = (
    "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Oslo</arg_value>\n"
    "<arg_key>days</arg_key>\n<arg_value>3</arg_value>\n<arg_key>at</arg_key>\n"
    '<arg_value>[1, {"a": null}]</arg_value>\n<arg_key>now</arg_key>\n<arg_value>true</arg_value>\n</tool_call>'
)


@pytest.mark.parametrize(
    ("parser", "text", "calls"),
    [
        ("qwen3_coder", QWEN, (OSLO,)),
        ("qwen3_xml", f"{QWEN}\n<tool_call>\n<function=list_harbours>\n</function>\n</tool_call>", (OSLO, LIST)),
        ("qwen3_coder", BODY, (OSLO,)),
        ("qwen3_coder", QWEN.replace("</parameter>\n", ""), (OSLO,)),
        ("qwen3_coder", QWEN.partition("\n</function>")[0], (OSLO,)),
        ("seed_oss", f"<seed:tool_call>\n{BODY}</seed:tool_call>", (OSLO,)),
        ("glm45", GLM, (OSLO,)),
        ("glm47", GLM.replace("\n", "") + "<tool_call>list_harbours</tool_call>", (OSLO, LIST)),
    ],
)
def test_calls_are_read_in_the_form_of_their_family(parser: str, text: str, calls: tuple[Call, ...]) -> None:
    parsed = parse(parser, f"I look.\n{text}", TOOLS)
    assert (parsed.calls, parsed.content, parsed.broken) == (calls, "I look.", None)


def test_without_a_schema_an_argument_is_the_text_that_stands_there_and_in_glm_what_it_reads_as() -> None:
    assert parse("qwen3_coder", QWEN).calls[0].arguments["days"] == "3"
    assert parse("glm45", GLM).calls[0].arguments["days"] == 3
    assert parse("qwen3_coder", QWEN, [{"name": "get_weather"}]).calls[0].arguments["now"] == "True"


def test_only_the_line_breaks_of_the_form_are_no_part_of_a_text() -> None:
    text = "<tool_call><function=get_weather><parameter=city>\n\n  Oslo \n\n</parameter></function></tool_call>"
    assert parse("qwen3_coder", text, TOOLS).calls == (Call("get_weather", {"city": "\n  Oslo \n"}),)


@pytest.mark.parametrize(
    ("value", "schema", "found"),
    [
        ("3", {"type": "integer"}, 3),
        ("3", {"type": "string"}, "3"),
        ("3.0", {"type": "number"}, 3),
        ("2.5", {"type": ["integer", "number"]}, 2.5),
        ("1e999", {"type": "number"}, "1e999"),
        ("many", {"type": "integer"}, "many"),
        ("False", {"type": "boolean"}, False),
        ("yes", {"type": "boolean"}, "yes"),
        ("None", {"type": "integer"}, None),
        ("null", {"type": "string"}, "null"),
        ("null", {"type": ["string", "null"]}, None),
        ("null", {"anyOf": [{"type": "string"}, {"type": "null"}]}, None),
        ("null", {}, "null"),
        ('{"a": 1}', {"type": "object"}, {"a": 1}),
        ("{'a': True}", {"type": "object"}, {"a": True}),
        ("{'a': b'x'}", {"type": "object"}, "{'a': b'x'}"),
        ("[1, 2", {"type": "array"}, "[1, 2"),
        ("-" * 100_000, {"type": "array"}, "-" * 100_000),
        ("5", None, "5"),
        ("5", True, "5"),
    ],
)
def test_an_argument_is_what_its_text_says_by_its_schema(value: str, schema: Any, found: Any) -> None:
    made = typed(value, schema)
    assert made == found and type(made) is type(found)


@pytest.mark.parametrize(
    ("parser", "text", "why"),
    [
        ("qwen3_coder", "<tool_call>{}</tool_call>", "no <function= follows <tool_call>"),
        ("qwen3_coder", "<tool_call><function=f", "the call has no name"),
        ("qwen3_coder", "<tool_call><function=></function></tool_call>", "the call has no name"),
        ("qwen3_coder", "<function=f><parameter=a", "an argument has no name"),
        ("glm45", "<tool_call></tool_call>", "the call has no name"),
        ("glm45", "<tool_call>f<arg_key>a</arg_key><arg_value>1</tool_call>", "an argument is not closed"),
    ],
)
def test_a_call_that_begins_and_cannot_be_read_is_told_with_its_reason(parser: str, text: str, why: str) -> None:
    parsed = parse(parser, text, TOOLS)
    assert (parsed.calls, parsed.content, parsed.broken) == ((), text, why)


def test_an_argument_that_is_nested_too_deep_stays_the_text_that_it_is() -> None:
    deep = "[" * 100 + "]" * 100
    assert typed(deep, {"type": "array"}) == deep
