"""Parameter values of one execution: the definition's defaults, overridden by what a person typed.

Shared by the local run and by `start` against AWS, so that a wrong value is refused the same way in both, before
anything is paid for. Limits: knows types and enums only; whether a value makes sense is for the step to say.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from pipeline.errors import UserError, did_you_mean, problems_error
from pipeline.rendered import Parameter, read
from steps.shared.contract import QUOTED, shortened
from steps.train.other_names import OTHER_NAMES

Value = str | int | float | bool

LENGTH_LIMIT = 1024  # AWS refuses longer values, and empty ones
HINTS = {  # why a definition lacks a value that others have
    ("ModelApprovalStatus", "Approved"): "; a version is approved by `approve`, or write register.allow_approved: true",
}
_ARTICLES = {"Integer": "an Integer", "Float": "a Float", "Boolean": "a Boolean (true or false)"}


def resolve_parameters(definition: Mapping[str, Any], overrides: Mapping[str, str]) -> dict[str, Value]:
    """One typed value for each parameter of a rendered definition, in the definition's order.

    Raises:
        UserError: unknown names, values outside their type or enum, empty or missing values; all of them at once.
    """
    parameters = read(definition).parameters
    problems = [
        f"{shortened(name)}: no such parameter{_known(name[:QUOTED], parameters)}"
        for name in overrides
        if name not in parameters
    ]
    values: dict[str, Value] = {}
    for name, parameter in parameters.items():
        given = overrides.get(name, parameter.default)
        if given is None:
            problems.append(f"{name}: has no default, give it a value")
            continue
        try:
            values[name] = _typed(given, parameter)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise problems_error("parameters", problems, "Fix them with --set Name=Value.")
    return values


def parse_assignments(assignments: list[str]) -> dict[str, str]:
    """`Name=Value` strings as a mapping. Of a name given twice the last value counts, as in a shell.

    Raises:
        UserError: a string without `=` or without a name.
    """
    overrides = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name.strip():
            raise UserError(f"--set {shortened(assignment)}: must look like Name=Value")
        overrides[name.strip()] = value
    return overrides


def _known(name: str, parameters: Mapping[str, Any]) -> str:
    meant = OTHER_NAMES.get(name, name)  # what a recipe, or another tool, calls it
    pascal = "".join(word.capitalize() for word in meant.split("_"))
    if pascal in parameters and pascal.lower() != name.lower():
        return f"; it is {pascal} here"
    return did_you_mean(name, parameters) or f"; there are {', '.join(parameters) or 'none'}"


def _typed(given: Value, parameter: Parameter) -> Value:
    if given == "":
        raise ValueError("must not be empty (AWS refuses an empty value)")
    if isinstance(given, str) and len(given) > LENGTH_LIMIT:
        raise ValueError(f"has {len(given)} characters, the limit is {LENGTH_LIMIT}")
    allowed = parameter.choices
    value = _converted(given, parameter.type or "String")
    if allowed and value not in allowed:
        hint = HINTS.get((parameter.name, str(given))) or did_you_mean(str(given), allowed)
        raise ValueError(f"{_quoted(given)} is not one of {', '.join(map(str, allowed))}{hint}")
    return value


def _converted(given: Value, kind: str) -> Value:
    text = as_text(given).strip()
    if kind == "String":
        return as_text(given)
    if kind == "Integer" and re.fullmatch(r"[+-]?\d+", text, re.ASCII):
        return int(text)
    if kind == "Float" and (number := _finite(text)) is not None:
        return number
    if kind == "Boolean" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind not in _ARTICLES:
        raise ValueError(f"has the unknown type {kind}")
    raise ValueError(f"{_quoted(given)} is not {_ARTICLES[kind]}")


def _quoted(given: Value) -> str:
    return shortened(repr(given))


def as_text(value: Value) -> str:
    """A value as `--set` and the service take it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _finite(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
