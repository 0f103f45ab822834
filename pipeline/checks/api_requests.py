"""A step's Arguments against the shape of the API request that Pipelines will make of them.

One walk finds unknown and missing members, wrong types, and what botocore leaves to the service: enums, patterns,
lengths, sizes and ranges. It also collects the places that pipeline variables fill,
so that other values can be tried there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.checks.known_values import echoed, evaluate, gets_in, is_expression, parse_get
from pipeline.checks.service_model import (
    TYPE_NAMES,
    UNKNOWN,
    request_shape,
    service,
    shown,
    size_problem,
    value_problem,
)
from pipeline.errors import did_you_mean
from pipeline.rendered import Definition, Step

if TYPE_CHECKING:
    from botocore.model import Shape

FILLED_IN = ("TrainingJobName", "ProcessingJobName", "ModelPackageName")  # Pipelines names what it creates
TAKES = {
    "string": ("String",),
    "integer": ("Integer",),
    "long": ("Integer",),
    "float": ("Float", "Integer"),
    "double": ("Float", "Integer"),
    "boolean": ("Boolean",),
}
# Structures that are nothing without one of these; the model calls each of them optional.
ONE_OF = {
    "ProcessingInput": ("S3Input", "DatasetDefinition"),
    "ProcessingOutput": ("S3Output", "FeatureStoreOutput"),
    "DataSource": ("S3DataSource", "FileSystemDataSource", "DatasetSource"),
    "ModelDataSource": ("S3DataSource",),
}
FAIL_MESSAGE = "String3072"  # the shape of a Fail step's message in ListPipelineExecutionSteps


@dataclass(frozen=True)
class Place:
    """Where a pipeline variable lands: a scalar of a request."""

    where: str
    shape: Shape
    expression: dict[str, Any]


@dataclass
class RequestCheck:
    """What one step's request has wrong, and the places in it that pipeline variables fill."""

    definition: Definition
    step: Step
    problems: list[str] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)

    @classmethod
    def of(cls, definition: Definition, step: Step) -> RequestCheck:
        """Check the request of a Training, Processing, RegisterModel or Fail step."""
        check = cls(definition, step)
        if step.type != "Fail":
            check._walk(request_shape(step.type), step.arguments, "")
        elif "ErrorMessage" in step.arguments:
            check._walk(service().shape_for(FAIL_MESSAGE), step.arguments["ErrorMessage"], "ErrorMessage")
        return check

    def _walk(self, shape: Shape, value: Any, path: str) -> None:
        if is_expression(value):
            self._expression(shape, value, path)
        elif shape.type_name == "structure":
            self._structure(shape, value, path)
        elif shape.type_name == "list":
            self._list(shape, value, path)
        elif shape.type_name == "map":
            self._map(shape, value, path)
        else:
            self._add(path, value_problem(shape, value))

    def _structure(self, shape: Shape, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            self._add(path, f"{shown(value)} must be an object")
            return
        for key, item in value.items():
            if key in shape.members:
                self._walk(shape.members[key], item, _below(path, key))
            else:
                self._add(_below(path, key), f"unknown member{did_you_mean(key, shape.members)}")
        for key in shape.required_members:
            if key not in value and (path or key not in FILLED_IN):
                self._add(_below(path, key), "is missing")
        if shape.name in ONE_OF and not value.keys() & set(ONE_OF[shape.name]):
            self._add(path, f"needs {' or '.join(ONE_OF[shape.name])}")

    def _list(self, shape: Shape, value: Any, path: str) -> None:
        if not isinstance(value, list):
            self._add(path, f"{shown(value)} must be a list")
            return
        self._add(path, size_problem(shape, len(value), "entries"))
        for index, item in enumerate(value):
            self._walk(shape.member, item, f"{path}[{index}]")

    def _map(self, shape: Shape, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            self._add(path, f"{shown(value)} must be an object")
            return
        self._add(path, size_problem(shape, len(value), "entries"))
        for key, item in value.items():
            if problem := value_problem(shape.key, key):
                self._add(path, f"the key {problem}" if key in problem else f"the key {shown(key)}: {problem}")
            self._walk(shape.value, item, _below(path, key))

    def _expression(self, shape: Shape, expression: dict[str, Any], path: str) -> None:
        found = evaluate(self.definition, expression).type
        takes = TAKES.get(shape.type_name, (shape.type_name,))
        if found is not None and found not in takes:
            self._add(path, _type_mismatch(shape, expression, found))
        elif shape.type_name in TAKES:
            place = Place(f"{self.step.where}: {path}", shape, expression)
            self.places.append(place)
            self.problems += place_problems(self.definition, place, {})

    def _add(self, path: str, problem: str) -> None:
        if problem:
            self.problems.append(f"{self.step.where}: {path}: {problem}" if path else f"{self.step.where}: {problem}")


def place_problems(definition: Definition, place: Place, given: Mapping[str, str]) -> Iterator[str]:
    """What is wrong at a place: with the given values if there are any, else with the defaults and each enum value."""
    value = evaluate(definition, place.expression, given).value
    problem = "" if value == UNKNOWN else value_problem(place.shape, value)
    if problem:
        yield f"{place.where}: {problem}"
    if given or problem:
        return
    for name in sorted(parameters_in(definition, place.expression)):
        for choice in definition.parameters[name].choices:
            value = evaluate(definition, place.expression, {name: str(choice)}).value
            if value != UNKNOWN and (problem := value_problem(place.shape, value)):
                yield f"{place.where}: with Parameters.{name} = {choice}: {problem}"


def parameters_in(definition: Definition, expression: Any, depth: int = 0) -> set[str]:
    """The parameters that an expression reads, also by way of other steps' arguments."""
    names: set[str] = set()
    for get in gets_in(expression):
        if get.root == "Parameters" and get.name in definition.parameters:
            names.add(get.name)
        elif get.root == "Steps" and get.name in definition.by_name and depth < len(definition.all_steps):
            names |= parameters_in(definition, echoed(definition.by_name[get.name], get.path), depth + 1)
    return names


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _type_mismatch(shape: Shape, expression: dict[str, Any], found: str) -> str:
    wanted = TYPE_NAMES.get(shape.type_name, f"a {shape.type_name}" if shape.type_name not in TAKES else "a number")
    get = parse_get(expression.get("Get"))
    if get and get.root == "Parameters":
        fix = f"; write {get.name}.to_string()" if shape.type_name == "string" else ""
        return f"takes {wanted}, and Parameters.{get.name} is of type {found}{fix}"
    if get:
        fix = "; put it into a Join" if shape.type_name == "string" else ""
        return f"takes {wanted}, and {expression['Get']} is of type {found}{fix}"
    return f"takes {wanted}, and this expression is of type {found}"
