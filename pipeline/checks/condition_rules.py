"""The conditions of a Condition step: their form, and operands that can be compared at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.checks.outline import Outline, Step, as_dict, evaluate, is_expression
from pipeline.checks.service_model import shown
from pipeline.errors import did_you_mean

ORDERED = ("GreaterThan", "GreaterThanOrEqualTo", "LessThan", "LessThanOrEqualTo")
MEMBERS = {
    "Equals": {"LeftValue", "RightValue"},
    **{name: {"LeftValue", "RightValue"} for name in ORDERED},
    "In": {"QueryValue", "Values"},
    "Or": {"Conditions"},
    "Not": {"Condition"},
}
ARGUMENTS = {"Conditions", "IfSteps", "ElseSteps"}
NUMBERS = ("Integer", "Float")


def condition_problems(outline: Outline, step: Step) -> Iterator[str]:
    """Everything wrong with a Condition step's own arguments; the steps in its branches are steps like any other."""
    if step.branch:
        yield f"lies in a branch of {step.branch[-1][0]}: Pipelines supports no Condition inside another; put it beside"
    arguments = as_dict(step.raw.get("Arguments"))
    for member in sorted(arguments.keys() - ARGUMENTS):
        yield f"{member}: unknown member{did_you_mean(member, ARGUMENTS)}"
    for side in ("IfSteps", "ElseSteps"):
        if not isinstance(arguments.get(side, []), list):
            yield f"{side}: must be a list of steps"
    yield from _all(outline, arguments.get("Conditions"), "Conditions")


def _all(outline: Outline, conditions: Any, path: str) -> Iterator[str]:
    if not isinstance(conditions, list) or not conditions:
        yield f"{path}: must be a list with at least one condition"
        return
    for index, condition in enumerate(conditions):
        yield from _one(outline, condition, f"{path}[{index}]")


def _one(outline: Outline, condition: Any, path: str) -> Iterator[str]:
    kind = as_dict(condition).get("Type")
    if not isinstance(kind, str) or kind not in MEMBERS:
        yield f"{path}: {shown(kind)} is no condition; known are {', '.join(MEMBERS)}{did_you_mean(str(kind), MEMBERS)}"
        return
    members = condition.keys() - {"Type"}
    if members != MEMBERS[kind]:
        takes, has = " and ".join(sorted(MEMBERS[kind])), ", ".join(sorted(members))
        yield f"{path}: {kind} takes {takes}, not {has or 'nothing'}"
    elif kind == "Or":
        yield from _all(outline, condition["Conditions"], f"{path}.Conditions")
    elif kind == "Not":
        yield from _one(outline, condition["Condition"], f"{path}.Condition")
    elif kind == "In":
        yield from _in(outline, condition, path)
    else:
        yield from _comparison(outline, condition, path)


def _in(outline: Outline, condition: dict[str, Any], path: str) -> Iterator[str]:
    yield from _operand(condition["QueryValue"], f"{path}.QueryValue")
    if not isinstance(condition["Values"], list) or not condition["Values"]:
        yield f"{path}.Values: must be a list with at least one value"
        return
    for index, value in enumerate(condition["Values"]):
        yield from _operand(value, f"{path}.Values[{index}]")
        yield from _same_kind(outline, condition["QueryValue"], value, f"{path}.Values[{index}]")


def _comparison(outline: Outline, condition: dict[str, Any], path: str) -> Iterator[str]:
    for member in ("LeftValue", "RightValue"):
        yield from _operand(condition[member], f"{path}.{member}")
        kind = evaluate(outline, condition[member]).type
        if condition["Type"] in ORDERED and kind is not None and kind not in NUMBERS:
            yield f"{path}.{member}: {condition['Type']} compares numbers, and this is of type {kind}"
    if condition["Type"] == "Equals":
        yield from _same_kind(outline, condition["LeftValue"], condition["RightValue"], path)


def _operand(value: Any, path: str) -> Iterator[str]:
    if not is_expression(value) and not isinstance(value, str | int | float):
        yield f"{path}: {shown(value)} is neither a pipeline variable nor a string, a number, true or false"


def _same_kind(outline: Outline, left: Any, right: Any, path: str) -> Iterator[str]:
    """A text never equals a number or true: such a condition always chooses the same branch, in silence."""
    kinds = [evaluate(outline, value).type for value in (left, right)]
    first, second = ("a number" if kind in NUMBERS else kind for kind in kinds)
    if None not in kinds and first != second:
        yield f"{path}: compares {first} with {second}, which are never equal"
