"""Checks a rendered definition against the AWS API model: all problems at once, without account or network.

Knows what botocore's model and the service's documentation say. It cannot know an account's quotas and permissions,
whether images and S3 objects exist, or what a run produces.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.checks.api_requests import RequestCheck, parameters_in, place_problems
from pipeline.checks.condition_rules import condition_problems
from pipeline.checks.references import cycle_problems, reference_problems
from pipeline.checks.service_model import OPERATIONS, service, shown, size_problem, value_problem
from pipeline.checks.step_rules import (
    STEP_TYPES,
    cache_problems,
    fail_problems,
    member_problems,
    processing_problems,
    property_file_problems,
    register_problems,
    retry_problems,
    slash_places,
    slash_problem,
    training_problems,
)
from pipeline.errors import did_you_mean
from pipeline.rendered import Definition, Step, as_dict, read

VERSION = "2020-12-01"
TOP_MEMBERS = {"Version", "Metadata", "Parameters", "PipelineExperimentConfig", "MlflowConfig", "Steps"}
PARAMETER_TYPES: dict[str, type | tuple[type, ...]] = {
    "String": str,
    "Integer": int,
    "Float": (int, float),
    "Boolean": bool,
}
PARAMETER_MEMBERS = {"Name", "Type", "DefaultValue", "EnumValues"}
# An event rule takes the narrowest names: a pipeline that accepts more could be started by hand and not by a trigger.
PARAMETER_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
PARAMETER_NAME_LIMIT = 256
PARAMETER_LIMIT = 200
VALUE_LIMIT = 1024

TYPE_RULES = {
    "Training": training_problems,
    "Processing": processing_problems,
    "RegisterModel": register_problems,
    "Fail": fail_problems,
}


def check_definition(document: dict[str, Any]) -> list[str]:
    """Every problem of a definition, each naming its step (or parameter) and path; an empty list for a sound one."""
    if not isinstance(document, dict):
        return [f"definition: {shown(document)} must be a JSON object"]
    definition = read(document)
    problems = [*_top_problems(document), *_parameter_problems(document), *_name_problems(definition)]
    for step in definition.all_steps:
        problems += _step_problems(definition, step)
    problems += cycle_problems(definition)
    return list(dict.fromkeys(problems))


def values_problems(document: dict[str, Any], values: Mapping[str, str]) -> list[str]:
    """What the service would refuse, at the start or hours into a run, about these values in the places they reach.

    A start accepts a text of 1,024 characters for any parameter; the argument of 256 that it lands in fails much later.
    Expects what parameter_values accepts: values of parameters that exist, of their types, neither empty nor overlong.
    """
    if not values:
        return []
    definition = read(document)
    problems: list[str] = []
    for step in definition.all_steps:
        if step.type not in (*OPERATIONS, "Fail"):
            continue
        for place in RequestCheck.of(definition, step).places:
            reaching = sorted(parameters_in(definition, place.expression) & values.keys())
            if reaching:
                label = ", ".join(f"Parameters.{name}" for name in reaching)
                problems += [f"{label}: in {problem}" for problem in place_problems(definition, place, values)]
        for path, value in slash_places(step):
            reaching = sorted(parameters_in(definition, value) & values.keys())
            if reaching and (problem := slash_problem(definition, value, values)):
                label = ", ".join(f"Parameters.{name}" for name in reaching)
                problems.append(f"{label}: in {step.where}: {path}: {problem}")
    return list(dict.fromkeys(problems))


def _size_of_value(value: str) -> str:
    if not value:
        return "a value cannot be empty"
    return f"{len(value)} characters, at most {VALUE_LIMIT}" if len(value) > VALUE_LIMIT else ""


def _top_problems(document: dict[str, Any]) -> Iterator[str]:
    if document.get("Version") != VERSION:
        yield f"Version: {shown(document.get('Version'))} must be '{VERSION}'"
    if not isinstance(document.get("Metadata", {}), dict):
        yield "Metadata: must be an object"
    for member in document:
        if member not in TOP_MEMBERS:
            yield f"{member}: unknown member of a definition{did_you_mean(member, TOP_MEMBERS)}"
    if not isinstance(document.get("Steps"), list) or not document["Steps"]:
        yield "Steps: must be a list with at least one step"
    if problem := size_problem(service().shape_for("PipelineDefinition"), len(json.dumps(document)), "characters"):
        yield f"definition: {problem}"


def _parameter_problems(document: dict[str, Any]) -> Iterator[str]:
    parameters = document.get("Parameters", [])
    if not isinstance(parameters, list):
        yield "Parameters: must be a list"
        return
    if len(parameters) > PARAMETER_LIMIT:
        yield f"Parameters: {len(parameters)} entries, at most {PARAMETER_LIMIT}"
    names = Counter(str(as_dict(parameter).get("Name")) for parameter in parameters)
    for repeated, count in names.items():
        if count > 1:
            yield f"Parameters.{repeated}: is there {count} times"
    for index, parameter in enumerate(parameters):
        name = as_dict(parameter).get("Name")
        if not isinstance(name, str) or not PARAMETER_NAME.fullmatch(name) or len(name) > PARAMETER_NAME_LIMIT:
            rule = f"a name of at most {PARAMETER_NAME_LIMIT} letters, digits and inner hyphens"
            yield f"Parameters[{index}]: {shown(name)} must be {rule} (a trigger takes no other)"
        for problem in _one_parameter_problems(as_dict(parameter)):
            yield f"Parameters.{name}: {problem}"


def _one_parameter_problems(parameter: dict[str, Any]) -> Iterator[str]:
    for member in sorted(parameter.keys() - PARAMETER_MEMBERS):
        yield f"unknown member {member}{did_you_mean(member, PARAMETER_MEMBERS)}"
    kind = parameter.get("Type")
    if not isinstance(kind, str) or kind not in PARAMETER_TYPES:
        yield f"Type {shown(kind)} is not one of {', '.join(PARAMETER_TYPES)}{did_you_mean(str(kind), PARAMETER_TYPES)}"
        return
    choices = parameter.get("EnumValues", [])
    if not isinstance(choices, list) or not all(isinstance(choice, str) for choice in choices):
        yield "EnumValues must be a list of strings"
        choices = []
    if "EnumValues" in parameter and kind != "String":
        yield f"EnumValues are only allowed for a String, and this is of type {kind}"
    for choice in choices:
        if problem := _size_of_value(choice):
            yield f"EnumValues: {problem}"
    if "DefaultValue" not in parameter:
        return
    default = parameter["DefaultValue"]
    if not isinstance(default, PARAMETER_TYPES[kind]) or (isinstance(default, bool) and kind != "Boolean"):
        yield f"DefaultValue {shown(default)} is not of type {kind}"
    elif isinstance(default, str) and (problem := _size_of_value(default)):
        yield f"DefaultValue: {problem}"
    elif choices and default not in choices:
        yield f"DefaultValue {shown(default)} is not one of {', '.join(choices)}{did_you_mean(str(default), choices)}"


def _name_problems(definition: Definition) -> Iterator[str]:
    shape = service().shape_for("StepName")
    for step in definition.all_steps:
        if not step.name:
            yield f"{step.where}: Name: is missing"
        elif problem := value_problem(shape, step.name):
            yield f"{step.where}: Name: {problem}"
    for name, count in Counter(step.name for step in definition.all_steps if step.name).items():
        if count > 1:
            yield f"{name}: Name: {count} steps have this name (those inside of conditions count too)"


def _step_problems(definition: Definition, step: Step) -> Iterator[str]:
    rules = [member_problems(step)]
    if step.type in STEP_TYPES:
        rules += [retry_problems(step), cache_problems(definition, step), property_file_problems(step)]
        rules += [TYPE_RULES[step.type](step)] if step.type in TYPE_RULES else [condition_problems(definition, step)]
    for rule in rules:
        for problem in rule:
            yield f"{step.where}: {problem}"
    if step.type in (*OPERATIONS, "Fail"):
        yield from RequestCheck.of(definition, step).problems
    for path, value in slash_places(step):
        if problem := slash_problem(definition, value):
            yield f"{step.where}: {path}: {problem}"
    yield from reference_problems(definition, step)
