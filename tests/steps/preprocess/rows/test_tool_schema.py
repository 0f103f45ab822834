"""Parameters of tools by every name that people have for them, so that what is required is checked."""

from __future__ import annotations

import pytest

from steps.preprocess.rows.json_schema import normal_schema
from steps.preprocess.rows.reasons import InvalidRow
from tests import growth
from tests.steps.preprocess.converting import ASKED, SCHEMA, calling, record_of, refused

NO = [{"role": "assistant", "content": "No."}]


def row(tool: dict, *calls: dict) -> dict:
    return {"prompt": ASKED, "chosen": calling(*calls) if calls else NO, "rejected": "a", "tools": [tool]}


def parameters_of(tool: dict) -> dict:
    tools = record_of(row({"name": "f", **tool})).tools
    assert tools is not None
    return tools[0]["function"]["parameters"]


@pytest.mark.parametrize(
    "tool",
    [
        {"parameters": SCHEMA},
        {"input_schema": SCHEMA},
        {"inputSchema": SCHEMA},
        {"inputSchema": {"json": SCHEMA}},
        {"parameters": {}, "input_schema": SCHEMA},
        {"parameters": SCHEMA, "input_schema": SCHEMA},
        {"parameters": {"city": {"type": "str"}}, "required": ["city"]},
        {"required_parameters": [{"name": "city", "type": "STRING"}], "optional_parameters": []},
    ],
)
def test_a_schema_is_read_by_any_of_its_names_and_what_it_requires_is_checked(tool: dict) -> None:
    assert parameters_of(tool) == SCHEMA
    said = ("tool_call_invalid", "chosen calls f without its required city")
    assert refused(row({"name": "f", **tool}, {"name": "f", "arguments": {}})) == said


def test_the_lists_of_toolbench_keep_what_they_say_of_a_parameter() -> None:
    day = {"name": "day", "type": "NUMBER", "description": "Which.", "default": "1"}
    found = parameters_of({"required_parameters": [], "optional_parameters": [day]})
    assert found == {
        "type": "object",
        "properties": {"day": {"type": "number", "description": "Which.", "default": "1"}},
        "required": [],
    }


@pytest.mark.parametrize("key", ["args", "arguments", "params", "schema", "args_schema", "properties", "what_it_takes"])
def test_a_schema_under_a_name_that_nobody_reads_refuses_the_tool(key: str) -> None:
    said = f"tools[0].{key} looks like its parameters; they must be under parameters"
    assert refused(row({"name": "f", key: SCHEMA})) == ("tools_invalid", said)


def test_what_else_a_function_has_stays_in_it_and_no_parameters_are_none() -> None:
    assert parameters_of({"strict": True, "outputSchema": SCHEMA}) == {"type": "object", "properties": {}}
    tools = record_of(row({"name": "f", "strict": True, "outputSchema": SCHEMA})).tools
    assert tools is not None and tools[0]["function"]["outputSchema"] == SCHEMA


def test_schemas_that_differ_refuse_the_tool() -> None:
    other = {"type": "object", "properties": {"town": {"type": "string"}}}
    said = "tools[0] has parameters and input_schema, which differ"
    assert refused(row({"name": "f", "parameters": SCHEMA, "input_schema": other})) == ("tools_invalid", said)


def test_time_to_read_a_type_grows_with_it() -> None:
    def call(size: int) -> None:
        for given in ("str" + " " * size + "!", "List[" * 9 + "] " * size, "a" * size + "?"):
            with pytest.raises(InvalidRow):
                normal_schema({"type": given}, ("x",))

    assert growth.is_linear(call, 10_000)


def test_a_type_of_very_many_characters_is_refused_by_its_length() -> None:
    with pytest.raises(InvalidRow) as error:
        normal_schema({"type": "List[" * 100 + "int" + "]" * 100}, ("x",))
    assert str(error.value) == "x.type has 603 characters; must be a JSON schema type"


@pytest.mark.parametrize("key", ["parameters", "input_schema", "inputSchema"])
def test_a_schema_beside_the_function_is_read_as_one_inside(key: str) -> None:
    tool = {"type": "function", "function": {"name": "f"}, key: SCHEMA}
    found = record_of(row(tool)).tools
    assert found == [{"type": "function", "function": {"name": "f", "description": "", "parameters": SCHEMA}}]
    said = ("tool_call_invalid", "chosen calls f without its required city")
    assert refused(row(tool, {"name": "f", "arguments": {}})) == said
    assert record_of(row({**tool, "function": {"name": "f", "parameters": SCHEMA}})).tools == found
    assert record_of(row({"function": {"name": "f"}, key: SCHEMA})).tools == found
    other = {"type": "object", "properties": {"town": {"type": "string"}}}
    said = ("tools_invalid", "tools[0] has parameters inside function and beside it, which differ")
    assert refused(row({**tool, "function": {"name": "f", "parameters": other}})) == said


def test_a_schema_beside_the_function_under_a_name_that_nobody_reads_refuses_the_tool() -> None:
    said = "tools[0].schema looks like its parameters; they must be under parameters"
    tool = {"type": "function", "function": {"name": "f", "description": "d"}, "schema": SCHEMA}
    assert refused(row(tool)) == ("tools_invalid", said)
