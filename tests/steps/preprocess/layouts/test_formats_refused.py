"""Rows that are wrong inside: each is refused by its own layout, with a code and a sentence that names the field."""

from __future__ import annotations

import json

import orjson
import pytest

from steps.preprocess.layouts.formats import by_name
from steps.preprocess.rows.raw_row import RawRow
from steps.preprocess.rows.reasons import InvalidRow
from steps.preprocess.rows.rules import Rules
from steps.preprocess.shards.convert import ConvertedRow, Layout, convert
from steps.shared.records import decode
from tests.steps.preprocess.turns import assistant, call, user


def converted(row: object, layout: Layout | None = None, **rules) -> ConvertedRow:
    return convert(RawRow("file", 1, orjson.dumps(row)), layout or Layout(None), Rules(**rules))


def refused(row: object, layout: Layout | None = None) -> tuple[str, str]:
    with pytest.raises(InvalidRow) as error:
        converted(row, layout)
    return str(error.value.code), str(error.value)


PLAIN = {"prompt": "q", "chosen": "a", "rejected": "b"}
CHAT = {"prompt": [user("q")], "chosen": [assistant("a")], "rejected": [assistant("b")]}
WHOLE = {"chosen": [user("q"), assistant("a")], "rejected": [user("q"), assistant("b")]}
ASKED = {"messages": [user("q")]}
OPENAI = {"input": ASKED, "preferred_output": [assistant("a")], "non_preferred_output": [assistant("b")]}
WHEN2CALL = {"messages": [user("q")], "chosen_response": "a", "rejected_response": "b"}
SHAREGPT = {
    "conversations": [{"from": "human", "value": "q"}],
    "chosen": {"from": "gpt", "value": "a"},
    "rejected": {"from": "gpt", "value": "b"},
}
TOOLS = {"tools": [{"name": "f", "parameters": {"type": "object", "properties": {}, "required": ["x"]}}]}
CALLING = {"role": "assistant", "content": None, "tool_calls": [call("f")]}


@pytest.mark.parametrize(
    ("row", "code", "message"),
    [
        ([1], "wrong_type", "the row is a list; must be an object"),
        ({}, "missing_field", "prompt is missing (plain layout); the row has: nothing"),
        (
            {"prompt": "q", "chosen": "a"},
            "missing_field",
            "rejected is missing (plain layout); the row has: prompt, chosen",
        ),
        (
            {"chosen": "a", "rejected": "b"},
            "missing_field",
            "prompt is missing (plain layout); the row has: chosen, rejected",
        ),
        ({**PLAIN, "chosen": None}, "empty_response", "chosen is null"),
        ({**PLAIN, "rejected": " \n"}, "empty_response", "rejected is empty"),
        ({**PLAIN, "prompt": None}, "empty_prompt", "prompt is null"),
        ({**PLAIN, "prompt": "\t"}, "empty_prompt", "turn 1 of the prompt, by the user, is empty"),
        ({**PLAIN, "chosen": 7}, "wrong_type", "chosen is a number, which the plain layout does not have"),
        ({**PLAIN, "chosen": "b"}, "same_response", "chosen and rejected are the same"),
        ({**PLAIN, "prompt": "a\0b"}, "nul_byte", "a text holds a NUL character (\\u0000)"),
        ({**PLAIN, "system": 1}, "wrong_type", "system is a number; must be text"),
        ({**CHAT, "prompt": []}, "empty_prompt", "the prompt has no turn of the user"),
        ({**CHAT, "prompt": ["q"]}, "wrong_type", "prompt[0] is text; must be a chat message"),
        ({**CHAT, "prompt": [{"content": "q"}]}, "missing_field", "prompt[0] has no role; it has: content"),
        ({**CHAT, "prompt": [{"role": "user"}]}, "missing_field", "prompt[0] has no content; it has: role"),
        (
            {**CHAT, "prompt": [{"role": "king", "content": "q"}]},
            "unknown_role",
            "prompt[0] has the role 'king'; known: ",
        ),
        (
            {**CHAT, "prompt": [user("q"), user("r")]},
            "turn_order",
            "turn 2 of the prompt is user; after user must come assistant or call; "
            "--merge-turns (merge_turns) joins the two",
        ),
        (
            {**CHAT, "prompt": [user("q"), assistant("r")]},
            "turn_order",
            "the prompt ends with the turn of the assistant; the user or a tool must be last",
        ),
        ({**CHAT, "chosen": []}, "empty_response", "chosen is an empty list"),
        ({**CHAT, "rejected": None}, "empty_response", "rejected is null"),
        ({**CHAT, "chosen": [user("a")]}, "not_assistant", "chosen holds a turn by the user"),
        ({**CHAT, "chosen": [assistant(None)]}, "empty_response", "chosen is empty"),
        (
            {**CHAT, "chosen": [{"role": "tool", "content": "r"}]},
            "not_assistant",
            "chosen must begin and end with a turn by the assistant",
        ),
        (
            {**CHAT, "prompt": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "wrong_type",
            "prompt[0].content[0]: a block of type 'image_url' by the user cannot be trained on here",
        ),
        (
            {**CHAT, "chosen": [CALLING]},
            "tool_call_invalid",
            "chosen calls f, which the row's tools do not declare (none)",
        ),
        ({**CHAT, **TOOLS, "chosen": [CALLING]}, "tool_call_invalid", "chosen calls f without its required x"),
        ({**PLAIN, "tools": "[{"}, "tools_invalid", "tools is a text that is not JSON: "),
        ({**PLAIN, "tools": [{"parameters": {}}]}, "tools_invalid", "tools[0] has no name"),
        (
            {**PLAIN, "tools": [{"name": "f", "parameters": {"type": "dict", "properties": {"x": {"type": "Foo"}}}}]},
            "tools_invalid",
            "tools[0].parameters.properties.x.type: 'Foo' is not a JSON schema type",
        ),
        (
            {**WHOLE, "rejected": [user("p"), assistant("b")]},
            "prompt_mismatch",
            "chosen and rejected part at turn 1, a turn by the user; only the assistant's answers may differ",
        ),
        ({**WHOLE, "chosen": []}, "empty_response", "chosen is an empty list"),
        (
            {**WHOLE, "prompt": "other"},
            "prompt_mismatch",
            "prompt is not a turn that the conversations of chosen and rejected share",
        ),
        ({**WHOLE, "prompt": "q", "chosen": []}, "empty_response", "chosen is an empty list"),
        ({**SHAREGPT, "conversations": None}, "empty_prompt", "conversations is null"),
        ({**SHAREGPT, "chosen": {"from": "gpt"}}, "missing_field", "chosen has no content; it has: from"),
        ({**WHEN2CALL, "rejected_response": None}, "empty_response", "rejected_response is null"),
        (
            {**WHEN2CALL, "chosen_response": "<TOOLCALL>[{]</TOOLCALL>"},
            "tool_call_invalid",
            "chosen_response: the call is not JSON: ",
        ),
        (
            {"messages": [user("q")]},
            "missing_field",
            "chosen_response is missing (when2call layout); the row has: messages",
        ),
        (
            {**OPENAI, "input": {"tools": []}},
            "missing_field",
            "input.messages is missing (openai layout); input has: tools",
        ),
        ({**OPENAI, "input": {"messages": "q"}}, "wrong_type", "input.messages is text; must be chat messages"),
        ({**OPENAI, "input": {"messages": None}}, "wrong_type", "input.messages is null; must be chat messages"),
        ({**OPENAI, "input": "q"}, "wrong_type", "input is text, which the openai layout does not have"),
        ({**OPENAI, "input": None}, "empty_prompt", "input is null"),
        (
            {"input": ASKED, "preferred_output": []},
            "missing_field",
            "non_preferred_output is missing (openai layout); the row has: input, preferred_output",
        ),
        ({**OPENAI, "non_preferred_output": None}, "empty_response", "non_preferred_output is null"),
        ({**OPENAI, "preferred_output": []}, "empty_response", "chosen is an empty list"),
        (
            {**OPENAI, "preferred_output": [{"content": "a"}]},
            "missing_field",
            "preferred_output[0] has no role; it has: content",
        ),
        (
            {
                **OPENAI,
                "preferred_output": [{**CALLING, "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}],
            },
            "tool_call_invalid",
            "preferred_output[0]: the arguments of f are not JSON: ",
        ),
        (
            {**OPENAI, "input": {**ASKED, **TOOLS}, "preferred_output": [CALLING]},
            "tool_call_invalid",
            "chosen calls f without its required x",
        ),
        (
            {**OPENAI, "input": {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}},
            "wrong_type",
            "input.messages[0].content[0]: a block of type 'image_url' by the user cannot be trained on here",
        ),
        ({**OPENAI, "input": {**ASKED, "tools": "x"}}, "tools_invalid", "tools is a text that is not JSON: "),
    ],
)
def test_what_is_wrong_with_a_row_is_named(row, code, message):
    found, said = refused(row)
    assert found == code
    assert said == message or (message.endswith(" ") and said.startswith(message))


@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        (
            "implicit-prompt",
            {**WHOLE, "rejected": "b"},
            "rejected is text, which the implicit-prompt layout does not have",
        ),
        ("hh-rlhf", {"chosen": "a", "rejected": None}, "rejected is null"),
        ("hh-rlhf", {"chosen": "a"}, "rejected is missing (hh-rlhf layout); the row has: chosen"),
        ("converse", {"messages": "q"}, "messages is text, which the converse layout does not have"),
        ("chat", {**CHAT, "rejected": 5}, "rejected is a number, which the chat layout does not have"),
    ],
)
def test_a_row_that_fits_nothing_is_told_what_its_files_layout_wants(name, row, message):
    assert refused(row, Layout(by_name(name)))[1] == message


@pytest.mark.parametrize("row", [PLAIN, CHAT, WHOLE, {**WHOLE, "prompt": "q"}, SHAREGPT, WHEN2CALL, OPENAI])
def test_the_rows_that_these_are_made_from_are_good(row):
    record = decode(converted(row).record)
    assert (record.prompt, record.chosen, record.rejected) == ([user("q")], [assistant("a")], [assistant("b")])


@pytest.mark.parametrize("name", ["chat", "sharegpt", "openai", "converse", "hh-rlhf", "json-columns"])
def test_a_row_of_another_layout_is_refused_where_one_was_asked_for(name):
    code, said = refused(PLAIN, Layout(by_name(name), strict=True))
    assert code in ("wrong_type", "missing_field")
    assert f"the {name} layout" in said or f"({name} layout)" in said


def test_a_system_field_becomes_the_first_turn():
    record = decode(converted({"system": "Be brief.", **PLAIN}).record)
    assert record.prompt == [{"role": "system", "content": "Be brief."}, user("q")]


def test_a_row_nested_beyond_what_json_writers_take_is_refused():
    deep: dict = {"type": "string"}
    for _ in range(150):
        deep = {"properties": {"x": deep}}
    row = json.dumps({**PLAIN, "tools": [{"name": "f", "parameters": deep}]}).encode()
    with pytest.raises(InvalidRow) as error:
        convert(RawRow("file", 1, row), Layout(None), Rules())
    assert error.value.code == "too_deep"


@pytest.mark.parametrize(
    "calls", ["<TOOLCALL>[{]</TOOLCALL>", "<TOOLCALL>[]</TOOLCALL>", "<TOOLCALL>[", "a<TOOLCALL>b"]
)
def test_a_malformed_call_fails_a_chosen_answer_and_stays_text_in_a_rejected_one(calls):
    row = {**WHEN2CALL, "rejected_response": calls}
    kept = converted(row)
    assert (decode(kept.record).rejected, kept.rejected_faults) == ([assistant(calls)], ["malformed"])
    row = {**WHEN2CALL, "chosen_response": calls}
    assert refused(row)[0] == "tool_call_invalid"
    kept = converted(row, tool_calls="keep")
    assert (decode(kept.record).chosen, kept.chosen_faults) == ([assistant(calls)], ["malformed"])


BROKEN = {"role": "assistant", "content": "Calling.", "tool_calls": [{"function": {"name": "f", "arguments": "{x"}}]}
AS_TEXT = assistant('Calling.\n[{"function":{"name":"f","arguments":"{x"}}]')


@pytest.mark.parametrize(
    "row",
    [
        {**CHAT, "rejected": [BROKEN]},
        {**SHAREGPT, "rejected": BROKEN},
        {**OPENAI, "non_preferred_output": [BROKEN]},
        {**WHEN2CALL, "rejected_response": BROKEN},
        {**WHOLE, "rejected": [user("q"), BROKEN]},
        {"prompt": "q", "chosen": [assistant("a")], "rejected": [BROKEN]},
        {"prompt": "q", "chosen": WHOLE["chosen"], "rejected": [user("q"), BROKEN]},
        {**CHAT, "chosen": WHOLE["chosen"], "rejected": [user("q"), BROKEN]},
    ],
)
def test_structured_calls_that_are_malformed_stay_readable_in_a_rejected_answer(row):
    kept = converted(row)
    assert decode(kept.record).rejected == [AS_TEXT]
    assert kept.rejected_faults == ["malformed"]


SHARED = [user("q"), BROKEN, user("r")]


@pytest.mark.parametrize(
    "row",
    [
        {**CHAT, "prompt": SHARED},
        {"chosen": [*SHARED, assistant("a")], "rejected": [*SHARED, assistant("b")]},
        {"prompt": SHARED, "chosen": [*SHARED, assistant("a")], "rejected": [*SHARED, assistant("b")]},
        {"prompt": "r", "chosen": [*SHARED, assistant("a")], "rejected": [*SHARED, assistant("b")]},
    ],
)
def test_a_malformed_call_in_a_shared_prompt_is_noted_once(row):
    assert refused(row)[0] == "tool_call_invalid"
    kept = converted(row, tool_calls="keep")
    assert decode(kept.record).prompt == [user("q"), AS_TEXT, user("r")]
    assert (kept.chosen_faults, kept.rejected_faults) == (["malformed"], [])


def test_text_around_a_call_stays_its_content():
    text = 'Let me see.\n<TOOLCALL>[{"name": "f", "arguments": {"x": 1}}]</TOOLCALL>'
    record = decode(converted({**WHEN2CALL, "chosen_response": text, **TOOLS}).record)
    assert record.chosen == [{**assistant("Let me see."), "tool_calls": [call("f", x=1)]}]


def test_openai_tool_calls_keep_their_ids_and_get_arguments_as_objects():
    given = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": [1, null]}'}}
    prompt = [user("q"), {"role": "assistant", "content": None, "tool_calls": [given]}]
    prompt.append({"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "r"}]})
    record = decode(converted({"prompt": prompt, "chosen": "a", "rejected": "b"}).record)
    assert record.prompt[1] == {**assistant(""), "tool_calls": [{"id": "c1", **call("f", x=[1, None])}]}
    assert record.prompt[2] == {"role": "tool", "tool_call_id": "c1", "content": "r"}
