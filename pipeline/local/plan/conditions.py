"""Conditions of a Condition step. All of a step's conditions must hold for its IfSteps to run.

Limits: values of different kinds (a string against a number) are an error and not a silent "false": the branch taken by
mistake is the expensive one.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipeline.errors import UserError
from pipeline.local.plan.expressions import Scope, evaluate

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": operator.eq,
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}
_MEMBERS: dict[str, tuple[str, ...]] = {"In": ("QueryValue", "Values"), "Not": ("Condition",), "Or": ("Conditions",)}
_MEMBERS |= dict.fromkeys(_COMPARISONS, ("LeftValue", "RightValue"))


def problems(condition: Mapping[str, Any]) -> Iterator[str]:
    """What this module could not evaluate: unknown types, missing members."""
    kind = condition.get("Type")
    if kind not in _MEMBERS:
        yield f"condition type {kind} is not supported; supported are {', '.join(_MEMBERS)}"
        return
    missing = [member for member in _MEMBERS[kind] if member not in condition]
    if missing:
        yield f"condition {kind} has no {' and no '.join(missing)}"
        return
    inner = [condition["Condition"]] if kind == "Not" else condition["Conditions"] if kind == "Or" else []
    for part in inner:
        yield from problems(part)


def holds(condition: Mapping[str, Any], scope: Scope, where: str) -> bool:
    """Whether a condition holds.

    Raises:
        UserError: a value that is not there, or values that cannot be compared.
    """
    kind = condition["Type"]
    if kind == "Not":
        return not holds(condition["Condition"], scope, where)
    if kind == "Or":
        return any(holds(part, scope, where) for part in condition["Conditions"])
    if kind == "In":
        value = evaluate(condition["QueryValue"], scope, where)
        values = evaluate(condition["Values"], scope, where)
        return any(_kind(value) == _kind(other) and value == other for other in values)
    left = evaluate(condition["LeftValue"], scope, where)
    right = evaluate(condition["RightValue"], scope, where)
    if _kind(left) != _kind(right) or (_kind(left) == "boolean" and kind != "Equals"):
        raise UserError(
            f"{where}: condition {kind} cannot compare {_shown(condition['LeftValue'], left)} with "
            f"{_shown(condition['RightValue'], right)}"
        )
    return _COMPARISONS[kind](left, right)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else "string" if isinstance(value, str) else "object"


def _shown(source: Any, value: Any) -> str:
    origin = f", from {json.dumps(source)}" if source != value else ""
    return f"the {_kind(value)} {json.dumps(value)}{origin}"
