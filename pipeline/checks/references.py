"""What the steps of a definition refer to: parameters, execution variables, steps, outputs and property files.

Finds references that lead nowhere, steps that wait for each other in a circle, and references into a branch that may
not run. Whether the referred value fits where it lands is for api_requests.
"""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any

from pipeline.checks.known_values import (
    EXECUTION,
    NAMED_LISTS,
    declared,
    expressions_in,
    gets_in,
    is_expression,
    parse_get,
    property_shape,
)
from pipeline.checks.service_model import shown
from pipeline.errors import did_you_mean
from pipeline.rendered import FUNCTIONS, Definition, Reference, Step, as_dict


def reference_problems(definition: Definition, step: Step) -> Iterator[str]:
    """Everything that a step refers to and that is not there."""
    for path, expression in expressions_in(step.arguments):
        for problem in _expression_problems(definition, step, expression):
            yield f"{step.where}: {path}: {problem}"
    depends_on = step.raw.get("DependsOn", [])
    if not isinstance(depends_on, list):
        yield f"{step.where}: DependsOn: {shown(depends_on)} must be a list of step names"
    for name in step.depends_on:
        if problem := _step_problem(definition, step, name):
            yield f"{step.where}: DependsOn: {problem}"


def cycle_problems(definition: Definition) -> list[str]:
    """Each circle of steps that wait for each other, once."""
    edges = {name: sorted(_predecessors(definition, step)) for name, step in definition.by_name.items()}
    problems = []
    while True:
        try:
            TopologicalSorter(edges).prepare()
        except CycleError as error:
            circle = error.args[1]  # first and last are the same step, and each step waits for the one before it
            problems.append(f"{circle[0]}: steps wait for each other in a circle: {' -> '.join(circle)}")
            edges[circle[1]].remove(circle[0])
        else:
            return problems


def _predecessors(definition: Definition, step: Step) -> set[str]:
    """The steps that it waits for and that one execution can reach with it.

    Where the branch of a step that it refers to is not taken, Pipelines does not start it either.
    """
    known = definition.by_name
    names = {get.name for get in gets_in(step.arguments) if get.root == "Steps"} | set(step.depends_on)
    if step.branch:
        names.add(step.branch.condition)
    return {name for name in names if name in known and step.parting(known[name]) is None}


def _step_problem(definition: Definition, step: Step, name: str) -> str:
    other = definition.by_name.get(name)
    if other is None:
        return f"there is no step {name}{did_you_mean(name, definition.by_name)}"
    if parting := step.parting(other):
        return f"{name} runs only in {parting.side} of {parting.condition}, and this step in its other branch"
    return ""


def _expression_problems(definition: Definition, step: Step, expression: dict[str, Any]) -> Iterator[str]:
    if len(expression) != 1 or next(iter(expression)) not in FUNCTIONS:
        yield f"{shown(expression)} is no expression; known are {', '.join(FUNCTIONS)}, each alone in its object"
    elif "Get" in expression:
        get = parse_get(expression["Get"])
        if get is None:
            yield f"cannot read {{'Get': {shown(expression['Get'])}}}; it must be Parameters.…, Execution.… or Steps.…"
        elif problem := _get_problem(definition, step, get):
            yield problem
    elif "Std:Join" in expression:
        yield from _join_problems(definition, step, expression["Std:Join"])
    else:
        yield from _json_get_problems(definition, step, expression["Std:JsonGet"])


def _join_problems(definition: Definition, step: Step, join: Any) -> Iterator[str]:
    if {key: type(value) for key, value in as_dict(join).items()} != {"On": str, "Values": list}:
        yield "Std:Join takes On (a string) and Values (a list)"
        return
    for value in join["Values"]:
        if is_expression(value):
            yield from _expression_problems(definition, step, value)
        elif not isinstance(value, str | int | float):
            yield f"Std:Join cannot join {shown(value)}"


def _json_get_problems(definition: Definition, step: Step, json_get: Any) -> Iterator[str]:
    sources = set(as_dict(json_get)) - {"Path"}
    if len(sources) != 1 or not sources <= {"PropertyFile", "S3Uri"}:
        yield "Std:JsonGet takes Path and either PropertyFile or S3Uri"
        return
    if not isinstance(json_get.get("Path"), str) or not json_get["Path"]:
        yield "Std:JsonGet needs a Path that is a string: it cannot be a pipeline variable"
    if "PropertyFile" in sources:
        if problem := _property_file_problem(definition, step, as_dict(json_get["PropertyFile"]).get("Get")):
            yield problem
        return
    uri = json_get["S3Uri"]
    if not is_expression(uri) or "Std:Join" not in uri:
        yield "Std:JsonGet takes its S3Uri as a Std:Join"
        return
    yield from _expression_problems(definition, step, uri)
    if not step.raw.get("DependsOn") and not any(get.root == "Steps" for get in gets_in(uri)):
        yield "Std:JsonGet with an S3Uri that names no step needs DependsOn: the step that writes the file"


def _property_file_problem(definition: Definition, step: Step, text: Any) -> str:
    get = parse_get(text)
    if get is None or get.root != "Steps" or len(get.path) != 2 or get.path[0] != "PropertyFiles":
        return f"cannot read the property file {shown(text)}; it must be {{'Get': 'Steps.NAME.PropertyFiles.FILE'}}"
    if problem := _step_problem(definition, step, get.name):
        return problem
    other, name = definition.by_name[get.name], get.path[1]
    if other.type != "Processing":
        return f"{get.name} is a {other.type} step, and only a Processing step can have property files"
    if name not in other.property_files:
        return f"{get.name} declares no property file {name}{did_you_mean(str(name), other.property_files)}"
    return ""


def _get_problem(definition: Definition, step: Step, get: Reference) -> str:
    if get.root == "Parameters":
        if get.name in definition.parameters:
            return ""
        return f"there is no parameter {get.name}{did_you_mean(get.name, definition.parameters)}"
    if get.root == "Execution":
        if get.name in EXECUTION:
            return ""
        return f"there is no variable Execution.{get.name}{did_you_mean(get.name, EXECUTION)}"
    return _step_problem(definition, step, get.name) or _path_problem(definition.by_name[get.name], get)


def _path_problem(other: Step, get: Reference) -> str:
    written = _written(get.path)
    if other.type == "Condition":
        return "" if get.path == ("Outcome",) else f"a Condition step has Outcome and no {written}"
    if other.type == "Fail":
        return f"{get.name} is a Fail step, which ends the execution and has nothing to read"
    if get.path[:1] == ("PropertyFiles",):
        return "a property file can only be read with Std:JsonGet"
    root = property_shape(other, ())
    if root is None:
        return ""  # an unknown type of step, which is a problem of that step
    if not get.path:
        return f"Steps.{get.name} is a whole step; name what of it, such as Steps.{get.name}.{next(iter(root.members))}"
    for length, part in enumerate(get.path, start=1):
        shape = property_shape(other, get.path[: length - 1]) or root
        if property_shape(other, get.path[:length]) is None:
            members = getattr(shape, "members", {})
            return f"{shape.name} of {get.name} has no {part} (in {written}){did_you_mean(str(part), members)}"
        before = get.path[length - 2] if length > 1 else None
        if shape.type_name == "list" and isinstance(part, str) and before in NAMED_LISTS:
            names = declared(other, str(before))
            if part not in names:
                return f"{get.name} declares no {part} in {before}{did_you_mean(part, names)}"
    return ""


def _written(path: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in path)
