"""Arguments fit their schema or not, and no schema does harm: none fetches, none hangs, none crashes."""

from __future__ import annotations

import socket
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.shared.calls import schemas
from steps.shared.calls.schemas import NoSchema, fits, unusable_schemas
from tests.steps.shared.calls.test_call import VALUES

WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer", "minimum": 1},
        "unit": {"enum": ["C", "F"]},
        "at": {"type": "array", "items": {"$ref": "#/$defs/hour"}},
    },
    "required": ["city"],
    "additionalProperties": False,
    "$defs": {"hour": {"type": "number", "maximum": 24}},
}


@pytest.mark.parametrize(
    ("arguments", "fit"),
    [
        ({"city": "Oslo"}, True),
        ({"city": "Oslo", "days": 3, "unit": "C", "at": [1, 2.5]}, True),
        ({"city": "Oslo", "days": 3.0}, True),
        ({}, False),
        ({"city": 5}, False),
        ({"city": "Oslo", "days": 0}, False),
        ({"city": "Oslo", "days": "3"}, False),
        ({"city": "Oslo", "days": True}, False),
        ({"city": "Oslo", "unit": "K"}, False),
        ({"city": "Oslo", "at": [25]}, False),
        ({"city": "Oslo", "other": 1}, False),
        (["Oslo"], False),
        ("Oslo", False),
        (None, False),
    ],
)
def test_arguments_fit_the_schema_or_not(arguments: Any, fit: bool) -> None:
    assert fits(arguments, WEATHER) is fit


def test_without_a_schema_any_object_fits() -> None:
    assert fits({"a": 1}, None) and fits({}, {}) and not fits([], None)


def test_a_schema_is_judged_by_the_version_that_it_names() -> None:
    tuple_of = {"properties": {"a": {"items": [{"type": "integer"}]}}}
    assert not fits({"a": ["x"]}, {"$schema": "http://json-schema.org/draft-07/schema#", **tuple_of})
    with pytest.raises(NoSchema):  # since 2020-12 that is `prefixItems`
        fits({"a": ["x"]}, tuple_of)
    assert fits({}, {"$schema": "http://[", "type": "object"}) and fits({}, {"$schema": 5})


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "dict"}, "type breaks anyOf of JSON schema"),
        ({"properties": {"a": {"required": True}}}, "properties.a.required breaks type of JSON schema"),
        ({"required": "a"}, "required breaks type of JSON schema"),
        ([], "no object"),
        ("string", "no object"),
        ({"$ref": "http://127.0.0.1:9/schema"}, "a $ref leads to no schema inside of it"),
        ({"$ref": "http://["}, "a $ref leads to no schema inside of it"),
        ({"$ref": "file:///etc/hostname"}, "a $ref leads to no schema inside of it"),
        ({"$ref": 5, "$schema": "http://json-schema.org/draft-04/schema#"}, "a $ref is no text"),
        ({"$dynamicRef": {}, "$schema": "http://json-schema.org/draft-07/schema#"}, "a $dynamicRef is no text"),
        ({"$ref": "#/$defs/nothing"}, "a $ref leads to no schema inside of it"),
        ({"$ref": "#/x", "x": {"pattern": "(a+)+$"}}, "a $ref leads to no schema inside of it"),
        ({"allOf": 5, "oneOf": [{"pattern": "a"}]}, "allOf breaks type of JSON schema"),
    ],
)
def test_a_schema_that_is_none_is_named_with_its_reason(schema: Any, why: str) -> None:
    assert unusable_schemas([{"name": "f", "parameters": schema}, {"name": "g"}]) == [f"f: {why}"]
    with pytest.raises(NoSchema):
        fits({}, schema)


def test_a_schema_that_is_nested_too_deep_is_none() -> None:
    for levels in (100, 5_000):
        schema: Any = {}
        for _ in range(levels):
            schema = {"properties": {"a": schema}}
        (named,) = unusable_schemas([{"name": "f", "parameters": schema}])
        assert named.startswith("f: nested")


def test_no_reference_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    nested = {"properties": {"a": {"$ref": "http://127.0.0.1:9/schema"}}, "$id": "http://127.0.0.1:9/other"}
    assert unusable_schemas([{"name": "f", "parameters": nested}])


def doubling(levels: int) -> dict[str, Any]:
    """A schema that takes two to the power of its levels steps."""
    defs: dict[str, Any] = {f"d{at}": {"allOf": [{"$ref": f"#/$defs/d{at + 1}"}] * 2} for at in range(levels)}
    return {"$ref": "#/$defs/d0", "$defs": {**defs, f"d{levels}": {}}}


@pytest.mark.parametrize(
    "schema",
    # The third ends in compiled code where Python's frames run out, with what is no Exception.
    [{"$ref": "#"}, {"allOf": [{"$ref": "#"}]}, {"not": {"$ref": "#"}}, {"if": {"$ref": "#"}}, doubling(60)],
)
def test_a_schema_without_end_is_none_for_the_call_that_needs_it(schema: Any) -> None:
    with pytest.raises(NoSchema):
        fits({"a": 1}, schema)
    assert fits({"a": 1}, doubling(5))


def test_a_schema_of_itself_judges_what_is_nested_as_deep_as_answers_are() -> None:
    tree = {"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"type": "integer"}}}
    good: Any = {"b": 1}
    bad: Any = {"b": "x"}
    for _ in range(30):
        good, bad = {"a": good}, {"a": bad}
    assert fits(good, tree) and not fits(bad, tree)


def test_no_pattern_is_evaluated_and_what_fits_is_never_refused() -> None:
    slow = {"type": "string", "pattern": "(a+)+$"}
    value = "a" * 60 + "!"
    for schema in (
        {"properties": {"a": slow}},
        {"properties": {"a": {"$ref": "#/$defs/p"}}, "$defs": {"p": slow}},
        {"propertyNames": slow, "patternProperties": {"(a+)+$": {"type": "integer"}}, "additionalProperties": False},
        {"oneOf": [{"properties": {"a": slow}}, {"properties": {"a": {"pattern": "^b"}}}]},
        {"properties": {"a": {"not": {"pattern": "^b"}}}},
        {"if": {"properties": {"a": slow}}, "then": False},
        {"$schema": "http://json-schema.org/draft-07/schema#", "dependencies": {"a": {"properties": {"a": slow}}}},
    ):
        assert fits({"a": value}, schema)
    assert not fits({"a": 5}, {"properties": {"a": slow}})


def test_a_property_that_is_called_pattern_is_a_property() -> None:
    schema = {"properties": {"pattern": {"type": "string"}, "$id": {"type": "string"}}, "additionalProperties": False}
    assert fits({"pattern": "x", "$id": "y"}, schema) and not fits({"pattern": 5}, schema)
    assert not fits({"other": 5}, schema)


def test_a_number_with_more_digits_than_a_float_has_room_for_crashes_nothing() -> None:
    assert not fits({"a": 10**400}, {"properties": {"a": {"multipleOf": 0.01}}})


def test_every_keyword_that_holds_schemas_is_walked() -> None:
    drafts = (jsonschema.Draft4Validator, jsonschema.Draft7Validator, jsonschema.Draft201909Validator,
              jsonschema.Draft202012Validator)  # fmt: skip
    judged = {keyword for draft in drafts for keyword in draft.VALIDATORS}
    plain = {
        *("const", "dependentRequired", "enum", "exclusiveMaximum", "exclusiveMinimum", "format", "maxItems"),
        *("maxLength", "maxProperties", "maximum", "minItems", "minLength", "minProperties", "minimum", "multipleOf"),
        *("required", "type", "uniqueItems", *schemas.REFERENCES, *schemas.PATTERNS),
    }
    assert judged - plain - {*schemas.MAPS, *schemas.LISTS, *schemas.NESTED} == set()


KEYWORDS = st.sampled_from(
    [*schemas.MAPS, *schemas.LISTS, *schemas.NESTED, *schemas.PATTERNS, *schemas.NAMES, *schemas.REFERENCES, "type",
     "enum", "required", "default", "minimum", "uniqueItems", "format", "dependentRequired", "contentSchema", "$anchor"]
)  # fmt: skip
LEAVES = st.sampled_from(["object", "string", "#", "#/properties/a", "#a", "(a+)+$", 1, -1, True, None, 0.5, ["a"], {}])
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: (
        st.dictionaries(KEYWORDS | st.sampled_from(["a", "b"]), inner, max_size=4) | st.lists(inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=300)
@given(SCHEMAS, st.dictionaries(st.sampled_from(["a", "b", ""]), VALUES, max_size=3))
def test_no_schema_whatever_raises_anything_else(schema: Any, arguments: Any) -> None:
    tools: list[Any] = [{"name": "f", "parameters": schema}]
    try:
        assert fits(arguments, schema) in (True, False)
    except NoSchema:
        return
    assert unusable_schemas(tools) == []
