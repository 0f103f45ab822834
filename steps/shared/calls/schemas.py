"""Whether a call's arguments fit the JSON schema that its tool declares.

jsonschema judges, within limits that keep a hostile schema harmless: references stay inside the schema, no `pattern` is
evaluated (a regular expression can take for ever), and what takes too many steps or refers to itself without end is no
schema. `format` is not asserted either, which is the specification's default. Where a schema has patterns, the keywords
that turn round what a pattern says (`not`, `if`) are left out with them: what fits such a schema is never refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Protocol

from steps.shared.calls.declared import parameters
from steps.shared.contract import QUOTED
from steps.shared.records import Tools

MAPS = ("properties", "$defs", "definitions", "dependentSchemas", "dependencies")
LISTS = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
NESTED = (
    "items", "additionalItems", "unevaluatedItems", "contains", "additionalProperties", "unevaluatedProperties",
    "propertyNames", "not", "if", "then", "else",
)  # fmt: skip
PATTERNS = ("pattern", "patternProperties")
TURNED = ("not", "if", "then", "else")
REST = ("additionalProperties", "unevaluatedProperties")  # what is left over, which depends on patternProperties
NAMES = ("$schema", "$id", "id")  # with them a reference would mean something else
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
DEEPEST = 64  # schemas inside each other
STEPS = 20_000  # keywords that are evaluated for one call: some schemas double the work at each level
# Keywords inside each other that are evaluated for one call. Each takes about five of Python's thousand frames; where
# those run out inside of `referencing`, which is compiled, it is no RecursionError that comes but a panic of its own.
DEEPEST_EVALUATED = 100
KEPT = 512  # schemas in memory; rows share them


class NoSchema(Exception):
    """A declared schema is none, or none that is judged here; `str(error)` says why."""


class Judge(Protocol):
    def is_valid(self, instance: Any) -> bool: ...


def unusable_schemas(tools: Tools) -> list[str]:
    """Of each declared tool whose schema is none its name and why, in the order of the tools."""
    found = []
    for name, schema in parameters(tools).items():
        try:
            _judge(_text(schema))
        except NoSchema as error:
            found.append(f"{name}: {error}")
    return found


def fits(arguments: Any, schema: Any) -> bool:
    """Whether a call's arguments are an object that its tool's schema allows; without a schema (None) any object is.

    Raises:
        NoSchema: there is a schema that is none.
    """
    judge, budget = _judge(_text(schema))
    if not isinstance(arguments, dict):
        return False
    budget.left, budget.depth = STEPS, 0
    try:
        return judge.is_valid(arguments)
    except RecursionError:
        raise NoSchema("refers to itself without end") from None
    except ArithmeticError:  # `multipleOf`, of a number with more digits than a float has room for
        return False


class _Budget:
    """How many keywords may still be evaluated, and how many inside each other are."""

    left, depth = STEPS, 0

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise NoSchema(f"takes more than {STEPS} steps for one call")

    def within(self, errors: Iterator[Any]) -> Iterator[Any]:
        """The errors that a keyword finds, while what it finds inside of it is one deeper."""
        if self.depth >= DEEPEST_EVALUATED:
            raise NoSchema("refers to itself without end")
        self.depth += 1
        try:
            yield from errors
        finally:
            self.depth -= 1


@lru_cache(KEPT)
def _judge(text: str) -> tuple[Judge, _Budget]:
    """What judges by a schema, given as JSON.

    Raises:
        NoSchema: it is none.
    """
    from jsonschema.exceptions import SchemaError
    from referencing import Registry

    schema = json.loads(text)
    schema = {} if schema is None else schema
    if not isinstance(schema, dict):
        raise NoSchema("no object")
    has_patterns = any(key in each for each in _schemas(schema) for key in PATTERNS)
    plain = _plain(schema, has_patterns)
    draft = _draft(schema.get("$schema"))
    try:
        draft.check_schema(plain)
    except SchemaError as error:
        place = ".".join(map(str, error.absolute_path))[:QUOTED] or "the schema"
        raise NoSchema(f"{place} breaks {error.validator} of JSON schema") from None
    except RecursionError:
        raise NoSchema("nested too deep") from None
    _check_references(plain)
    budget = _Budget()
    return _counting(draft, budget)(plain, registry=Registry()), budget  # an empty registry fetches nothing


def _draft(given: Any) -> Any:
    """The version of JSON schema that a schema says it is of; the newest where it says none that is known."""
    import jsonschema

    drafts = {
        "draft-04": jsonschema.Draft4Validator,
        "draft-06": jsonschema.Draft6Validator,
        "draft-07": jsonschema.Draft7Validator,
        "2019-09": jsonschema.Draft201909Validator,
    }
    said = given if isinstance(given, str) else ""
    return next((draft for name, draft in drafts.items() if name in said), jsonschema.Draft202012Validator)


def _counting(draft: Any, budget: _Budget) -> Any:
    """A draft's validator that counts the keywords which it evaluates."""
    from jsonschema.validators import extend

    def counted(check: Callable[..., Any]) -> Callable[..., Any]:
        def spend_and_check(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
            budget.spend()
            errors = check(validator, value, instance, schema)
            return None if errors is None else budget.within(errors)

        return spend_and_check

    return extend(draft, {keyword: counted(check) for keyword, check in draft.VALIDATORS.items()})


def _check_references(schema: Mapping[str, Any]) -> None:
    """
    Raises:
        NoSchema: a reference leads out of the schema, or to something in it that is none: what stands there has not
            been looked at.
    """
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    resolver = Registry().with_resource("", DRAFT202012.create_resource(schema)).resolver()
    inside = {id(each): each for each in _schemas(schema)}
    for each in inside.values():
        for keyword in REFERENCES:
            if keyword not in each:
                continue
            if not isinstance(each[keyword], str):  # not every draft's own schema looks at it
                raise NoSchema(f"a {keyword} is no text")
            try:
                target = resolver.lookup(each[keyword]).contents
            except (Unresolvable, ValueError):
                target = None
            if id(target) not in inside and not isinstance(target, bool):
                raise NoSchema(f"a {keyword} leads to no schema inside of it")


def _text(schema: Any) -> str:
    try:
        return json.dumps(schema, sort_keys=True)
    except (RecursionError, TypeError, ValueError):
        raise NoSchema("nested too deep, or no JSON") from None


def _schemas(schema: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    """A schema and those inside it, wherever a keyword holds some; a property that is called pattern is none.

    Raises:
        NoSchema: they are nested too deep.
    """
    if depth > DEEPEST:
        raise NoSchema(f"nested more than {DEEPEST} deep")
    if isinstance(schema, dict):
        yield schema
        for keyword, value in schema.items():
            for each in _inside(keyword, value):
                yield from _schemas(each, depth + 1)


def _inside(keyword: str, value: Any) -> list[Any]:
    if keyword in (*MAPS, "patternProperties") and isinstance(value, dict):
        return list(value.values())
    if keyword in LISTS and isinstance(value, list):
        return value
    return [value] if keyword in NESTED else []


def _plain(schema: Any, has_patterns: bool) -> Any:
    """The schema without its names, and without its patterns and what turns their meaning round."""
    if not isinstance(schema, dict):
        return schema
    dropped = {*NAMES, *PATTERNS, *(TURNED if has_patterns else ()), *(REST if "patternProperties" in schema else ())}
    found: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in dropped:
            continue
        if keyword in MAPS and isinstance(value, dict):
            value = {name: _plain(inner, has_patterns) for name, inner in value.items()}
        elif keyword in LISTS and isinstance(value, list):
            value = [_plain(inner, has_patterns) for inner in value]
        elif keyword in NESTED:
            value = _plain(value, has_patterns)
        found[keyword] = value
    others = found.get("allOf", [])
    if has_patterns and "oneOf" in found and isinstance(others, list):
        # Two choices that differ by a pattern alone are both right now.
        found["allOf"] = [*others, {"anyOf": found.pop("oneOf")}]
    return found
