"""What a layout's tools become: functions with JSON-schema types, whatever the row wrote them in."""

from __future__ import annotations

import json

import orjson
import pytest

from steps.preprocess.rows.raw_row import RawRow
from steps.preprocess.rows.rules import Rules
from steps.preprocess.shards.convert import ConvertedRow, Layout, convert
from steps.shared.records import decode
from tests.paths import SAMPLES

PLAIN = {"prompt": "q", "chosen": "a", "rejected": "b"}
WEATHER = {
    "type": "object",
    "required": ["city"],
    "properties": {
        "city": {"type": "string", "description": "The city."},
        "days": {"type": "integer"},
        "type": {"type": "string", "description": "A property that is called type."},
    },
}


def converted(row: dict) -> ConvertedRow:
    return convert(RawRow("file", 1, orjson.dumps(row)), Layout(None), Rules())


def rows(name: str) -> list[dict]:
    text = (SAMPLES / name).read_text()
    return json.loads(text) if name.endswith(".json") else [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize(("name", "index"), [("when2call.jsonl", 0), ("sharegpt.json", 1)])
def test_tools_with_types_of_python_become_json_schema(name, index):
    record = decode(converted(rows(name)[index]).record)
    function = {"name": "get_weather", "description": "Current weather of a city.", "parameters": WEATHER}
    assert record.tools == [{"type": "function", "function": function}]


def test_an_undeclared_call_in_rejected_is_noted_and_no_tools_are_none():
    _, second, third = map(converted, rows("when2call.jsonl"))
    assert second.rejected_faults == ["undeclared"]
    assert decode(third.record).tools is None


@pytest.mark.parametrize("name", ["openai.jsonl", "converse.jsonl", "json-columns.jsonl"])
def test_layouts_that_keep_their_tools_elsewhere_declare_the_same(name):
    record = decode(converted(rows(name)[1]).record)
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    function = {"name": "get_weather", "description": "Current weather of a city.", "parameters": schema}
    assert record.tools == [{"type": "function", "function": function}]


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
        record = decode(converted({**PLAIN, "tools": json.dumps([{"name": "f", "parameters": form}])}).record)
        assert record.tools == [
            {"type": "function", "function": {"name": "f", "description": "", "parameters": expected}}
        ]


def test_openais_older_function_call_and_its_refusals_are_read(write_lines, run_step):
    asked = [{"role": "user", "content": "add 1 and 2"}]
    call = {"role": "assistant", "content": None, "function_call": {"name": "add", "arguments": '{"a": 1}'}}
    refusal = {"role": "assistant", "content": None, "refusal": "I cannot do sums."}
    rows = [{"prompt": [*asked, call, {"role": "function", "name": "add", "content": "3"}], "chosen": "3"}]
    rows += [{"prompt": asked, "chosen": [call]}]
    tools = [{"name": "add", "parameters": {"a": {"type": "int"}}}]
    others = [{**PLAIN, "prompt": f"q{number}"} for number in range(8)]
    path = write_lines([*({**row, "rejected": [refusal], "tools": tools} for row in rows), *others])
    report, records, _ = run_step(path)
    assert report["rows"]["quarantined"] == 0
    assert records[1].chosen[0]["tool_calls"] == [
        {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
    ]
    assert records[0].rejected == [{"role": "assistant", "content": "I cannot do sums."}]


def test_a_system_field_that_contradicts_the_prompts_own_system_turn_is_refused(write_lines, run_step):
    def row(number: int, system: str) -> dict:
        prompt = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"q{number}"}]
        return {"prompt": prompt, "chosen": "a", "rejected": "b", "system": system}

    path = write_lines([*(row(n, "Be brief.") for n in range(8)), row(9, "Be long.")])
    report, records, _ = run_step(path)
    assert report["reasons"] == {"prompt_mismatch": 1}
    assert [message["role"] for message in records[0].prompt] == ["system", "user"]
