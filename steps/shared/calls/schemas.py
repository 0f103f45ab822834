"""Whether a call's arguments fit the JSON schema that its tool declares.

jsonschema judges, within limits that keep a hostile schema harmless: no reference leaves the schema, `pattern` and its
like are not evaluated (a regular expression can take for ever), and what refers to itself without end is no schema.
`format` is not asserted either, as the specification has it by default. A schema with patterns is judged without the
keywords that turn round what a pattern says (`not`, `if`), so that what fits it is never refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from steps.shared.calls.declared import parameters
from steps.shared.records import Tools

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

MAPS = ("properties", "$defs", "definitions", "dependentSchemas")
LISTS = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
NESTED = (
    "items", "additionalItems", "unevaluatedItems", "contains", "additionalProperties", "unevaluatedProperties",
    "propertyNames", "not", "if", "then", "else",
)  # fmt: skip
PATTERNS = ("pattern", "patternProperties")
TURNED = ("not", "if", "then", "else")
REST = ("additionalProperties", "unevaluatedProperties")  # what is left over, which depends on patternProperties
DEEPEST = 64  # schemas inside each other
REFERENCES = 10_000  # followed for one call: some can double the work each time
KEPT = 512  # schemas in memory; rows share them


class NoSchema(Exception):
    """A declared schema is none, or none that is judged here; `str(error)` says why."""


def unusable_schemas(tools: Tools) -> list[str]:
    """Of each declared tool whose schema is none its name and why, in the order of the tools."""
    found = []
    for name, schema in parameters(tools).items():
        try:
            _validator(_key(schema))
        except NoSchema as error:
            found.append(f"{name}: {error}")
    return found


def fits(arguments: Any, schema: Any) -> bool:
    """Whether a call's arguments are an object that its tool's schema allows; without a schema (None) any object is.

    Raises:
        NoSchema: there is a schema that is none.
    """
    validator, budget = _validator(_key(schema))
    if not isinstance(arguments, dict):
        return False
    budget.left = REFERENCES
    try:
        return bool(validator.is_valid(arguments))
    except RecursionError:
        raise NoSchema("refers to itself without end") from None
    except Exception as error:
        if _is_unresolvable(error):
            raise NoSchema("refers to a schema outside of itself") from None
        raise


class _Budget:
    """How many references may still be followed."""

    left = REFERENCES

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise NoSchema(f"follows more than {REFERENCES} references for one call")


@lru_cache(KEPT)
def _validator(text: str) -> tuple[Validator, _Budget]:
    """What judges by a schema, from its JSON.

    Raises:
        NoSchema: it is none.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for
    from referencing import Registry

    schema = json.loads(text)
    if schema is None:
        schema = {}
    if not isinstance(schema, dict):
        raise NoSchema("no object")
    has_patterns = any(key in each for each in _schemas(schema, 0) for key in PATTERNS)
    plain = _without_patterns(schema) if has_patterns else schema
    draft = validator_for(plain, default=Draft202012Validator)
    try:
        draft.check_schema(plain)
    except SchemaError as error:
        place = ".".join(map(str, error.absolute_path)) or "the schema"
        raise NoSchema(f"{place} breaks {error.validator!r} of JSON schema") from None
    except RecursionError:
        raise NoSchema("nested too deep") from None
    budget = _Budget()
    return _counting(draft, budget)(plain, registry=Registry()), budget  # an empty registry fetches nothing


def _counting(draft: Any, budget: _Budget) -> Any:
    """A draft's validator that counts the references which it follows."""
    from jsonschema.validators import extend

    def counted(keyword: str) -> Any:
        follow = draft.VALIDATORS[keyword]

        def check(validator: Any, reference: Any, instance: Any, schema: Any) -> Any:
            budget.spend()
            return follow(validator, reference, instance, schema)

        return check

    known = ("$ref", "$dynamicRef", "$recursiveRef")
    return extend(draft, {keyword: counted(keyword) for keyword in known if keyword in draft.VALIDATORS})


def _is_unresolvable(error: Exception) -> bool:
    from referencing.exceptions import Unresolvable

    return isinstance(error, Unresolvable)


def _key(schema: Any) -> str:
    return json.dumps(schema, sort_keys=True)


def _schemas(schema: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    """A schema and those inside it, wherever a keyword holds some; a property that is called pattern is none."""
    if depth > DEEPEST:
        raise NoSchema(f"nested more than {DEEPEST} deep")
    if not isinstance(schema, dict):
        return
    yield schema
    for keyword, value in schema.items():
        if keyword in (*MAPS, "patternProperties") and isinstance(value, dict):
            inside = list(value.values())
        elif keyword in LISTS and isinstance(value, list):
            inside = value
        else:
            inside = [value] if keyword in NESTED else []
        for each in inside:
            yield from _schemas(each, depth + 1)


def _without_patterns(schema: Any) -> Any:
    """The schema, allowing at least what it allows, without its patterns and what turns their meaning round."""
    if not isinstance(schema, dict):
        return schema
    dropped = {*PATTERNS, *TURNED, *(REST if "patternProperties" in schema else ())}
    found: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in dropped:
            continue
        if keyword in MAPS and isinstance(value, dict):
            value = {name: _without_patterns(inner) for name, inner in value.items()}
        elif keyword in LISTS and isinstance(value, list):
            value = [_without_patterns(inner) for inner in value]
        elif keyword in NESTED:
            value = _without_patterns(value)
        if keyword == "oneOf":  # two choices that differ by a pattern alone are both right now
            found.setdefault("allOf", [])
            found["allOf"] = [*found["allOf"], {"anyOf": value}]
        elif keyword == "allOf":
            found["allOf"] = [*found.get("allOf", []), *value]
        else:
            found[keyword] = value
    return found
