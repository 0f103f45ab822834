"""Each layout: recognised, read into the same kind of record, and its odd rows named."""

from __future__ import annotations

import json
from pathlib import Path

import orjson
import pytest

from steps.preprocess.convert import Converted, Layout, convert
from steps.preprocess.formats import FORMATS, detect
from steps.preprocess.reading import RawRow, read_rows
from steps.preprocess.reasons import InvalidRow

SAMPLES = sorted((Path(__file__).parents[2] / "data" / "formats").iterdir())


def user(text: str) -> dict:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict:
    return {"role": "assistant", "content": text}


def call(name: str, **arguments) -> dict:
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


def read(row: object, layout: Layout | None = None) -> Converted:
    return convert(RawRow("file", 1, orjson.dumps(row)), layout or Layout(None))


def refused(row: object, layout: Layout | None = None) -> tuple[str, str]:
    with pytest.raises(InvalidRow) as error:
        read(row, layout)
    return str(error.value.code), str(error.value)


def sample(name: str) -> list[Converted]:
    path = next(path for path in SAMPLES if path.stem == name)
    return [convert(raw, Layout(None)) for raw in read_rows(path.name, path)]


def test_every_layout_has_a_sample_that_is_told_from_all_others():
    assert {path.stem for path in SAMPLES} == {layout.name for layout in FORMATS}
    for path in SAMPLES:
        rows = [orjson.loads(raw.data) for raw in read_rows(path.name, path)]
        assert len(rows) >= 2
        assert {detect(row).name for row in rows} == {path.stem}


def test_plain():
    first, second = (converted.record for converted in sample("plain"))
    assert first.prompt == [user("Which planet is the largest?")]
    assert (first.chosen, first.rejected) == ([assistant("Jupiter.")], [assistant("Mars.")])
    assert (second.prompt, second.chosen, second.tools) == ([user("Größe von 2³?")], [assistant("8 👍")], None)


def test_chat():
    first, second = (converted.record for converted in sample("chat"))
    assert [message["role"] for message in first.prompt] == ["system", "user"]
    assert [message["content"] for message in second.prompt] == ["Hi", "Hello, how can I help?", "Name a prime."]
    assert (second.chosen, second.rejected) == ([assistant("7")], [assistant("9")])


def test_chat_answers_that_repeat_the_prompt_lose_it():
    prompt = [user("Hi")]
    record = read({"prompt": prompt, "chosen": [*prompt, assistant("a")], "rejected": [*prompt, assistant("b")]}).record
    assert (record.prompt, record.chosen, record.rejected) == (prompt, [assistant("a")], [assistant("b")])


def test_implicit_prompt():
    first, second = (converted.record for converted in sample("implicit-prompt"))
    assert (first.prompt, first.chosen, first.rejected) == (
        [user("Name a colour.")],
        [assistant("Blue.")],
        [assistant("Tuesday.")],
    )
    assert second.prompt == [user("Hi"), assistant("Hello!"), user("Bye")]
    assert (second.chosen, second.rejected) == ([assistant("Goodbye!")], [assistant("No.")])


def test_implicit_prompt_where_one_conversation_begins_the_other():
    tools = [{"name": "f"}]
    asked, called = user("q"), {"role": "assistant", "content": "", "tool_calls": [call("f")]}
    result = {"role": "tool", "content": "r"}
    longer = [asked, called, result, assistant("a")]
    record = read({"chosen": longer, "rejected": longer[:2], "tools": tools}).record
    assert (record.prompt, record.chosen, record.rejected) == ([asked], longer[1:], [called])
    record = read({"chosen": longer[:2], "rejected": longer, "tools": tools}).record
    assert (record.prompt, record.chosen, record.rejected) == ([asked], [called], longer[1:])


def test_implicit_prompt_that_is_not_shared_is_refused():
    chosen, rejected = [user("one"), assistant("a")], [user("two"), assistant("b")]
    said = "chosen and rejected part at turn 1, a turn by the user; only the assistant's answers may differ"
    assert refused({"chosen": chosen, "rejected": rejected}) == ("prompt_mismatch", said)


def test_ultrafeedback():
    first, second = (converted.record for converted in sample("ultrafeedback"))
    assert (first.prompt, first.chosen) == ([user("Define entropy.")], [assistant("A measure of disorder.")])
    assert (second.prompt, second.rejected) == ([user("Define enthalpy.")], [assistant("Heat.")])


def test_ultrafeedback_prompt_that_the_conversations_do_not_answer_is_refused():
    row = {"prompt": "a", "chosen": [user("b"), assistant("1")], "rejected": [user("b"), assistant("2")]}
    assert refused(row)[0] == "prompt_mismatch"


def test_when2call_text_becomes_tool_calls_and_tools_become_json_schema():
    first, second, third = sample("when2call")
    assert first.record.chosen == [{**assistant(""), "tool_calls": [call("get_weather", city="Oslo")]}]
    assert first.record.tools == [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "description": "Current weather of a city.",
                "parameters": {
                    "type": "object",
                    "required": ["city"],
                    "properties": {
                        "city": {"type": "string", "description": "The city."},
                        "days": {"type": "integer"},
                        "type": {"type": "string", "description": "A property that is called type."},
                    },
                },
            },
        }
    ]
    assert second.record.chosen == [assistant("For which city?")]
    assert second.record.rejected == [{**assistant(""), "tool_calls": [call("get_forecast")]}]
    assert second.rejected_faults == ["undeclared"]
    assert third.record.tools is None


def test_sharegpt():
    first, second = (converted.record for converted in sample("sharegpt"))
    assert first.prompt == [{"role": "system", "content": "You are a teacher."}, user("What is 3 + 4?")]
    assert (first.chosen, first.rejected) == ([assistant("7")], [assistant("34")])
    assert second.prompt == [
        user("Weather in Oslo?"),
        {**assistant(""), "tool_calls": [call("get_weather", city="Oslo")]},
        {"role": "tool", "content": '{"celsius": -4}'},
    ]
    assert second.tools[0]["function"]["parameters"]["properties"]["city"]["type"] == "string"


def test_a_system_field_becomes_the_first_turn():
    record = read({"system": "Be brief.", "prompt": "q", "chosen": "a", "rejected": "b"}).record
    assert record.prompt == [{"role": "system", "content": "Be brief."}, user("q")]


def test_openai_tool_calls_keep_their_ids_and_get_arguments_as_objects():
    given = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": [1, null]}'}}
    prompt = [user("q"), {"role": "assistant", "content": None, "tool_calls": [given]}]
    prompt.append({"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "r"}]})
    record = read({"prompt": prompt, "chosen": "a", "rejected": "b"}).record
    assert record.prompt[1] == {**assistant(""), "tool_calls": [{"id": "c1", **call("f", x=[1, None])}]}
    assert record.prompt[2] == {"role": "tool", "tool_call_id": "c1", "content": "r"}


PLAIN = {"prompt": "q", "chosen": "a", "rejected": "b"}
CHAT = {"prompt": [user("q")], "chosen": [assistant("a")], "rejected": [assistant("b")]}
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
            "turn 2 of the prompt is user; after user must come assistant or call",
        ),
        (
            {**CHAT, "prompt": [user("q"), assistant("r")]},
            "turn_order",
            "the prompt ends with the turn of the assistant; the user or a tool must be last",
        ),
        ({**CHAT, "chosen": []}, "empty_response", "chosen is an empty list"),
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
            "prompt[0].content is a list; must be text",
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
    ],
)
def test_what_is_wrong_with_a_row_is_named(row, code, message):
    found, said = refused(row)
    assert found == code
    assert said == message or (message.endswith(" ") and said.startswith(message))


def test_a_row_nested_beyond_what_json_writers_take_is_refused():
    deep: dict = {"type": "string"}
    for _ in range(150):
        deep = {"properties": {"x": deep}}
    row = json.dumps({**PLAIN, "tools": [{"name": "f", "parameters": deep}]}).encode()
    with pytest.raises(InvalidRow) as error:
        convert(RawRow("file", 1, row), Layout(None))
    assert error.value.code == "too_deep"


@pytest.mark.parametrize(
    "calls", ["<TOOLCALL>[{]</TOOLCALL>", "<TOOLCALL>[]</TOOLCALL>", "<TOOLCALL>[", "a<TOOLCALL>b"]
)
def test_a_malformed_call_fails_a_chosen_answer_and_stays_text_in_a_rejected_one(calls):
    row = {"messages": [user("q")], "chosen_response": "fine", "rejected_response": calls, "tools": []}
    kept = read(row)
    assert kept.record.rejected == [assistant(calls)]
    assert kept.rejected_faults == ["malformed"]
    assert refused({**row, "chosen_response": calls, "rejected_response": "fine"})[0] == "tool_call_invalid"


def test_structured_calls_that_are_malformed_stay_readable_in_a_rejected_answer():
    broken = {"function": {"name": "f", "arguments": "{x"}}
    kept = read({**CHAT, "rejected": [{"role": "assistant", "content": "Calling.", "tool_calls": [broken]}]})
    assert kept.record.rejected == [assistant('Calling.\n[{"function":{"name":"f","arguments":"{x"}}]')]
    assert kept.rejected_faults == ["malformed"]


def test_text_around_a_call_stays_its_content():
    text = 'Let me see.\n<TOOLCALL>[{"name": "f", "arguments": {"x": 1}}]</TOOLCALL>'
    row = {"messages": [user("q")], "chosen_response": text, "rejected_response": "no", **TOOLS}
    assert read(row).record.chosen == [{**assistant("Let me see."), "tool_calls": [call("f", x=1)]}]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("dict", {"type": "object"}),
        ("STRING", {"type": "string"}),
        ("float", {"type": "number"}),
        ("List[int]", {"type": "array", "items": {"type": "integer"}}),
        ("Optional[str]", {"type": "string"}),
        ("int, optional", {"type": "integer"}),
        ("Dict[str, int]", {"type": "object"}),
        ("any", {}),
        (["str", "NoneType"], {"type": ["string", "null"]}),
    ],
)
def test_types_of_other_languages_become_json_schema_types(given, wanted):
    parameters = {"x": {"type": given, "description": "d"}}
    expected = {"type": "object", "properties": {"x": {**wanted, "description": "d"}}}
    for form in (parameters, {"type": "dict", "properties": parameters}):
        record = read({**PLAIN, "tools": json.dumps([{"name": "f", "parameters": form}])}).record
        assert record.tools == [
            {"type": "function", "function": {"name": "f", "description": "", "parameters": expected}}
        ]
