"""Schemas of tools' parameters with JSON-schema types, from what people write: `dict`, `str`, `List[int]`.

Walks a schema by its keywords, so that a property that is called `type` stays a property.
"""

from __future__ import annotations

import re
from typing import Any

from steps.preprocess.rows.json_values import kind
from steps.preprocess.rows.reasons import InvalidRow, Reason, quoted

# The types of Python and of other languages that function-calling data sets write where JSON schema has its own.
TYPES = {
    **dict.fromkeys(("object", "dict", "mapping", "hashmap", "map"), "object"),
    **dict.fromkeys(("string", "str", "text", "char"), "string"),
    **dict.fromkeys(("integer", "int", "long", "short", "byte"), "integer"),
    **dict.fromkeys(("number", "float", "double", "decimal"), "number"),
    **dict.fromkeys(("boolean", "bool"), "boolean"),
    **dict.fromkeys(("array", "list", "tuple", "set", "sequence", "arraylist"), "array"),
    **dict.fromkeys(("null", "none", "nonetype"), "null"),
}
GENERIC = re.compile(r"(\w++)\s*+(?:\[(.*)\])?(?:\s*+,\s*+optional)?")  # str, List[int], Optional[str], "int, optional"
LONGEST_TYPE = 500  # characters
SCHEMA_MAPS = ("properties", "patternProperties", "$defs", "definitions")
SCHEMA_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
SCHEMA_LISTED = (*SCHEMA_LISTS, "items")
SCHEMA_NESTED = ("items", "additionalProperties", "not")
WALKED = frozenset((*SCHEMA_MAPS, *SCHEMA_LISTS, *SCHEMA_NESTED, "required"))

Place = tuple[str, ...]  # where in a row something stands; written out only for a message


def normal_schema(value: Any, where: Place) -> Any:
    """A schema, and those inside it, with JSON-schema types; a schema that is true or false stays so.

    Raises:
        InvalidRow: tools_invalid; the message names the place, which begins with `where`.
    """
    simple = _simple(value)
    if simple is not None:
        return simple
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        value = {"type": value}
    if not isinstance(value, dict):
        raise InvalidRow(Reason.TOOLS_INVALID, f"{_said(where)} is {kind(value)}; must be a JSON schema")
    result: dict[str, Any] = {}
    for key, entry in value.items():
        if key in WALKED:
            result[key] = _nested(key, entry, where)
        elif key == "type":
            for name, keyword in _typed(entry, where).items():  # may bring `items` with it
                result.setdefault(name, keyword)
        else:
            result[key] = entry
    return result


def _simple(value: Any) -> dict[str, Any] | None:
    """A schema that is one type and what is said about it, as most are; None where it is more."""
    if type(value) is dict and type(given := value.get("type")) is str:
        known = TYPES.get(given)
        if known and WALKED.isdisjoint(value):
            return value if known == given else {**value, "type": known}
    return None


def _nested(key: str, entry: Any, where: Place) -> Any:
    """The value of a keyword that holds schemas (see WALKED), or that a row's calls are checked with (`required`)."""
    if key == "required":
        if isinstance(entry, list):
            return entry
        raise InvalidRow(Reason.TOOLS_INVALID, f"{_said(where)}.required is {kind(entry)}; must be a list of names")
    if key in SCHEMA_MAPS and isinstance(entry, dict):
        return {
            name: _simple(inner) or normal_schema(inner, (*where, key, name))  # most are simple, and need no place
            for name, inner in entry.items()
        }
    if key in SCHEMA_LISTED and isinstance(entry, list):
        return [normal_schema(inner, (*where, f"{key}[{index}]")) for index, inner in enumerate(entry)]
    if key in SCHEMA_NESTED:
        return normal_schema(entry, (*where, key))
    return entry


def _said(where: Place) -> str:
    return ".".join(where)


def _typed(value: Any, where: Place) -> dict[str, Any]:
    """The schema that a `type` stands for: one keyword, with `items` beside it for `List[int]`, none for `any`."""
    if type(value) is str and value in TYPES:
        return {"type": TYPES[value]}
    if isinstance(value, list):
        names = [_typed(entry, where).get("type") for entry in value]
        return {"type": names} if None not in names else {}
    if isinstance(value, str) and len(value) > LONGEST_TYPE:  # each level of List[List[…]] would copy the rest
        said = f"{_said(where)}.type has {len(value):,} characters; must be a JSON schema type"
        raise InvalidRow(Reason.TOOLS_INVALID, said)
    match = GENERIC.fullmatch(value.strip()) if isinstance(value, str) else None
    base, inner = (match[1].lower(), match[2]) if match else (None, None)
    if base == "any":
        return {}
    if base == "optional" and inner:
        return _typed(inner, where)
    if base not in TYPES:
        raise InvalidRow(Reason.TOOLS_INVALID, f"{_said(where)}.type: {quoted(value)} is not a JSON schema type")
    if TYPES[base] == "array" and inner and "," not in inner:
        return {"type": "array", "items": _typed(inner, where)}
    return {"type": TYPES[base]}
