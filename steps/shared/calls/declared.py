"""The tools that a row declares, by name; as records have them, or as OpenAI's older form has them (no `function`)."""

from __future__ import annotations

from typing import Any

from steps.shared.records import Tools


def parameters(tools: Tools) -> dict[str, Any]:
    """Name of each declared tool -> the JSON schema of its parameters, whatever it is; None where it has none."""
    found: dict[str, Any] = {}
    for tool in tools or ():
        function = tool.get("function", tool) if isinstance(tool, dict) else None
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            found.setdefault(function["name"], function.get("parameters"))
    return found


def properties(schema: Any) -> dict[str, Any]:
    """Name of each property that an object's schema describes -> its schema."""
    found = schema.get("properties") if isinstance(schema, dict) else None
    return found if isinstance(found, dict) else {}


def types(schema: Any) -> set[str]:
    """The JSON types that a schema allows, as far as it says so itself or in one of its choices."""
    if not isinstance(schema, dict):
        return set()
    choices = [choice for key in ("anyOf", "oneOf") for choice in _listed(schema.get(key))]
    given = [each.get("type") for each in (schema, *choices) if isinstance(each, dict)]
    return {each for entry in given for each in _listed(entry) if isinstance(each, str)}


def _listed(value: Any) -> list[Any]:
    """A list as it is; one text as a list of it; of anything else, none."""
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, str) else []
