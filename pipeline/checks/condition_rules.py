"""The conditions of a Condition step: their form, and operands that can be compared at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.checks.known_values import evaluate, is_expression
from pipeline.checks.service_model import shown
from pipeline.errors import did_you_mean
from pipeline.rendered import SIDES, Definition, Step, as_dict

ORDERED = ("GreaterThan", "GreaterThanOrEqualTo", "LessThan", "LessThanOrEqualTo")
MEMBERS = {
    "Equals": {"LeftValue", "RightValue"},
    **{name: {"LeftValue", "RightValue"} for name in ORDERED},
    "In": {"QueryValue", "Values"},
    "Or": {"Conditions"},
    "Not": {"Condition"},
}
ARGUMENTS = {"Conditions", *SIDES}
NUMBERS = ("Integer", "Float")


def condition_problems(definition: Definition, step: Step) -> Iterator[str]:
    """Everything wrong with a Condition step's own arguments; the steps in its branches are steps like any other."""
    if step.branch:
        outer = step.branch.condition
        yield f"lies in a branch of {outer}: Pipelines supports no Condition inside another; put it beside"
    arguments = as_dict(step.raw.get("Arguments"))
    for member in sorted(arguments.keys() - ARGUMENTS):
        yield f"{member}: unknown member{did_you_mean(member, ARGUMENTS)}"
    for side in SIDES:
        if not isinstance(arguments.get(side, []), list):
            yield f"{side}: must be a list of steps"
    yield from _all(definition, arguments.get("Conditions"), "Conditions")


def _all(definition: Definition, conditions: Any, path: str) -> Iterator[str]:
    if not isinstance(conditions, list) or not conditions:
        yield f"{path}: must be a list with at least one condition"
        return
    for index, condition in enumerate(conditions):
        yield from _one(definition, condition, f"{path}[{index}]")


def _one(definition: Definition, condition: Any, path: str) -> Iterator[str]:
    kind = as_dict(condition).get("Type")
    if not isinstance(kind, str) or kind not in MEMBERS:
        yield f"{path}: {shown(kind)} is no condition; known are {', '.join(MEMBERS)}{did_you_mean(str(kind), MEMBERS)}"
        return
    members = condition.keys() - {"Type"}
    if members != MEMBERS[kind]:
        takes, has = " and ".join(sorted(MEMBERS[kind])), ", ".join(sorted(members))
        yield f"{path}: {kind} takes {takes}, not {has or 'nothing'}"
    elif kind == "Or":
        yield from _all(definition, condition["Conditions"], f"{path}.Conditions")
    elif kind == "Not":
        yield from _one(definition, condition["Condition"], f"{path}.Condition")
    elif kind == "In":
        yield from _in(definition, condition, path)
    else:
        yield from _comparison(definition, condition, path)


def _in(definition: Definition, condition: dict[str, Any], path: str) -> Iterator[str]:
    yield from _operand(condition["QueryValue"], f"{path}.QueryValue")
    if not isinstance(condition["Values"], list) or not condition["Values"]:
        yield f"{path}.Values: must be a list with at least one value"
        return
    for index, value in enumerate(condition["Values"]):
        yield from _operand(value, f"{path}.Values[{index}]")
        yield from _same_kind(definition, condition["QueryValue"], value, f"{path}.Values[{index}]")


def _comparison(definition: Definition, condition: dict[str, Any], path: str) -> Iterator[str]:
    for member in ("LeftValue", "RightValue"):
        yield from _operand(condition[member], f"{path}.{member}")
        kind = evaluate(definition, condition[member]).type
        if condition["Type"] in ORDERED and kind is not None and kind not in NUMBERS:
            yield f"{path}.{member}: {condition['Type']} compares numbers, and this is of type {kind}"
    if condition["Type"] == "Equals":
        yield from _same_kind(definition, condition["LeftValue"], condition["RightValue"], path)


def _operand(value: Any, path: str) -> Iterator[str]:
    if not is_expression(value) and not isinstance(value, str | int | float):
        yield f"{path}: {shown(value)} is neither a pipeline variable nor a string, a number, true or false"


def _same_kind(definition: Definition, left: Any, right: Any, path: str) -> Iterator[str]:
    """A text never equals a number or true: such a condition always chooses the same branch, in silence."""
    kinds = [evaluate(definition, value).type for value in (left, right)]
    first, second = ("a number" if kind in NUMBERS else kind for kind in kinds)
    if None not in kinds and first != second:
        yield f"{path}: compares {first} with {second}, which are never equal"
