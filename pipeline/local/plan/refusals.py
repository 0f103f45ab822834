"""What of a rendered definition this machine could not run, and every reference to something that is not there.

All of it is refused before anything has run. What each type of request may ask for is in `support.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import did_you_mean
from pipeline.local.plan import conditions, support
from pipeline.local.plan.expressions import Scope, evaluate_known
from pipeline.local.state.store import Store
from pipeline.rendered import FUNCTIONS, Definition, Reference, Step, as_list, expressions, function_of, references

EXECUTION_VARIABLES = (
    "PipelineExecutionId",
    "PipelineExecutionArn",
    "PipelineName",
    "PipelineArn",
    "StartDateTime",
    "CurrentDateTime",
)
_STEP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def refusals(definition: Definition, parameters: Mapping[str, Any]) -> list[str]:
    """Every problem that would stop an execution with these parameters for sure, each with its step."""
    problems = list(_name_problems(definition))
    for step in definition.all_steps:
        found = [*_reference_problems(step, definition.by_name, parameters), *_order_problems(step, definition.by_name)]
        # Features are judged on resolved values, so only where the references are sound.
        problems += [f"{step.name}: {problem}" for problem in found or _support_problems(step, parameters)]
    return problems


def _name_problems(definition: Definition) -> Iterator[str]:
    seen = set()
    for step in definition.all_steps:
        if not _STEP_NAME.fullmatch(step.name):
            yield f"{step.name!r} is not a step name (letters, digits, - and _, at most 64)"
        if step.name in seen:
            yield f"{step.name}: two steps have this name"
        seen.add(step.name)


def _reference_problems(step: Step, steps: Mapping[str, Step], parameters: Mapping[str, Any]) -> Iterator[str]:
    for expression in expressions(step.arguments):
        if function_of(expression) not in FUNCTIONS:
            yield f"the function {function_of(expression)} is not supported; supported are {', '.join(FUNCTIONS)}"
    for reference in dict.fromkeys(references(step.arguments)):
        root, name = reference.root, reference.name
        if root == "Parameters" and name not in parameters:
            yield f"{reference.text}: no such parameter{did_you_mean(name, parameters)}"
        elif root == "Execution" and name not in EXECUTION_VARIABLES:
            yield f"{reference.text}: no such execution variable; there are {', '.join(EXECUTION_VARIABLES)}"
        elif root == "Steps" and name in steps:
            yield from _result_problems(reference, steps[name])
        elif root not in ("Parameters", "Execution", "Steps"):
            yield f"{reference.text}: must start with Parameters., Execution. or Steps."


def _result_problems(reference: Reference, target: Step) -> Iterator[str]:
    """What can be judged early of a reference to a step's result: property files, and a Processing step's outputs."""
    file = reference.property_file
    if file is not None:
        if file not in target.property_files:
            hint = did_you_mean(file, target.property_files)
            yield f"{reference.text}: step {target.name} has no such property file{hint}"
        return
    match = re.search(r"\.ProcessingOutputConfig\.Outputs\[['\"](.+?)['\"]\]", reference.rest)
    if match and target.type == "Processing":
        outputs = support.output_names(target.arguments)
        if match[1] not in outputs:
            yield f"{reference.text}: step {target.name} has no such output{did_you_mean(match[1], outputs)}"


def _order_problems(step: Step, steps: Mapping[str, Step]) -> Iterator[str]:
    for entry in as_list(step.raw.get("DependsOn")):
        if isinstance(entry, dict) and entry.get("Trigger", "Completed") != "Completed":
            yield f"DependsOn {entry}: run conditions are not supported on this machine"
    for name in sorted(step.needs):
        if name not in steps:
            yield f"there is no step {name!r} to refer to{did_you_mean(name, steps)}"
        elif parting := step.parting(steps[name]):
            yield f"refers to {name}, which sits in the other branch of {parting.condition} and never runs with it"


def _support_problems(step: Step, parameters: Mapping[str, Any]) -> Iterator[str]:
    if step.type == "Condition":
        for condition in step.arguments.get("Conditions", []):
            yield from conditions.problems(condition)
        return
    # Placeholders: what is asked of the arguments here (counts, modes, types) is never an execution's id or time.
    scope = Scope(parameters, dict.fromkeys(EXECUTION_VARIABLES, "unknown-yet"), Store(Path()))
    arguments = evaluate_known(step.arguments, scope, step.name)
    yield from support.problems(step.type, arguments, step.property_files)
