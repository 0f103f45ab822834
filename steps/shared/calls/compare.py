"""Whether what was called is what should have been called: the same functions with the same arguments.

Calls count in any order. Of arguments: the keys of an object in any order, elements of an array in theirs; 1 is 1.0,
and "1" and true are something else; texts are equal but for blanks around them, upper and lower case apart; an argument
that the schema does not require, given with the schema's default, is the same as none. null is a value like another.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from steps.shared.calls.call import DEEPEST, Call
from steps.shared.calls.declared import parameters, properties
from steps.shared.calls.schemas import NoSchema, fits
from steps.shared.records import Tools

DEEPER = "nested deeper than an answer is read"


@dataclass(frozen=True)
class Comparison:
    """
    Attributes:
        same_number: as many calls as expected.
        names: the same functions, each as often.
        arguments: for each expected call there is one of the same function with the same arguments.
        right: all of that; so it is too where no call was expected and there is none.
        valid: every call is of a declared tool and fits its schema; None where a schema is needed that is none.
        undeclared: the names of called tools that are not declared, each once, in the order of the calls.
    """

    same_number: bool
    names: bool
    arguments: bool
    right: bool
    valid: bool | None
    undeclared: tuple[str, ...]


def compare(expected: Sequence[Call], said: Sequence[Call], tools: Tools) -> Comparison:
    schemas = parameters(tools)
    same_number = len(expected) == len(said)
    names = Counter(call.name for call in expected) == Counter(call.name for call in said)
    should, does = (Counter(_same(call, schemas.get(call.name)) for call in calls) for calls in (expected, said))
    arguments = should <= does
    undeclared = tuple(dict.fromkeys(call.name for call in said if call.name not in schemas))
    right = same_number and names and arguments
    return Comparison(same_number, names, arguments, right, _valid(said, schemas), undeclared)


def _valid(said: Sequence[Call], schemas: dict[str, Any]) -> bool | None:
    if any(call.name not in schemas for call in said):
        return False
    try:
        return all(fits(call.arguments, schemas[call.name]) for call in said)
    except NoSchema:
        return None


def _same(call: Call, schema: Any) -> str:
    """A text that two calls share exactly where they are the same."""
    return json.dumps([call.name, _normal(call.arguments, schema)], sort_keys=True)


def _normal(value: Any, schema: Any, depth: int = 1) -> Any:
    """A value in the one form of all that are the same."""
    if isinstance(value, dict | list) and depth > DEEPEST:
        return [DEEPER]  # in an expected call alone: no answer is read as deep
    if isinstance(value, dict):
        return _object(value, schema, depth)
    if isinstance(value, list):
        items = schema.get("items") if isinstance(schema, dict) else None
        return [_normal(entry, items, depth + 1) for entry in value]
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _object(value: dict[str, Any], schema: Any, depth: int) -> dict[str, Any]:
    described = properties(schema)
    required = schema.get("required") if isinstance(schema, dict) else None
    required = required if isinstance(required, list) else []
    found = {}
    for key, entry in value.items():
        inner = described.get(key)
        normal = _normal(entry, inner, depth + 1)
        if key not in required and isinstance(inner, dict) and "default" in inner:
            default = _normal(inner["default"], inner, depth + 1)
            if json.dumps(normal, sort_keys=True) == json.dumps(default, sort_keys=True):  # to Python True is 1
                continue
        found[key] = normal
    return found
