"""Declared tools: by name, whatever stands in their places."""

from __future__ import annotations

from typing import Any

import pytest

from steps.shared.calls.declared import parameters, properties, types

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def test_tools_of_both_forms_are_found_by_name_and_the_first_of_a_name_counts() -> None:
    tools: list[Any] = [
        {"type": "function", "function": {"name": "f", "parameters": SCHEMA}},
        {"name": "g", "parameters": {}},
        {"type": "function", "function": {"name": "f"}},
        {"type": "function", "function": {"name": "h"}},
    ]
    assert parameters(tools) == {"f": SCHEMA, "g": {}, "h": None}


def test_what_is_no_tool_is_none() -> None:
    tools: list[Any] = ["f", 5, None, {"function": "f"}, {"function": {"name": 3}}, {"function": {}}]
    assert parameters(tools) == {} == parameters(None)


def test_what_is_no_schema_describes_nothing() -> None:
    assert properties(SCHEMA) == {"city": {"type": "string"}}
    for schema in (None, True, 5, [], {"properties": 5}):
        assert properties(schema) == {}


@pytest.mark.parametrize(
    ("schema", "found"),
    [
        ({"type": "string"}, {"string"}),
        ({"type": ["string", "null"]}, {"string", "null"}),
        ({"anyOf": [{"type": "integer"}, {"type": ["null"]}, True]}, {"integer", "null"}),
        ({"oneOf": "string", "type": 5}, set()),
        ({}, set()),
        (True, set()),
    ],
)
def test_types_are_those_of_the_schema_and_of_its_choices(schema: Any, found: set[str]) -> None:
    assert types(schema) == found
