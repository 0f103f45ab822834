"""From a rendered definition to steps in the order in which they run.

Order comes from what a step refers to, from DependsOn, and from the Condition that a step sits in. Everything that this
machine could not run, and every reference to something that is not there, is refused here: before anything has run.
Steps run one at a time; steps that AWS would run side by side run one after the other, in the definition's order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import UserError, did_you_mean, problems_error
from pipeline.local.plan import conditions, support
from pipeline.local.plan.expressions import (
    FUNCTIONS,
    Scope,
    evaluate_known,
    expressions,
    function_of,
    paths,
    property_file_of,
    references,
    step_of,
)
from pipeline.local.state.store import Store

EXECUTION_VARIABLES = (
    "PipelineExecutionId",
    "PipelineExecutionArn",
    "PipelineName",
    "PipelineArn",
    "StartDateTime",
    "CurrentDateTime",
)
_STEP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Branch:
    """Where a step sits inside a Condition."""

    condition: str
    outcome: bool


@dataclass(frozen=True)
class Step:
    """One step of the definition, lifted out of the Condition that it sits in."""

    name: str
    type: str
    arguments: Mapping[str, Any]  # of a Condition without its branches
    needs: frozenset[str]  # the steps that must have succeeded before
    branch: Branch | None
    property_files: Mapping[str, Mapping[str, str]]
    cache: Mapping[str, Any] | None


def build_plan(definition: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[Step]:
    """The steps in running order.

    Raises:
        UserError: every problem that would stop the execution for sure, all of them at once.
    """
    if not definition.get("Steps"):
        raise UserError("definition: it has no Steps")
    steps = list(_flatten(definition["Steps"], None))
    by_name = {step.name: step for step in steps}
    problems = [*_name_problems(steps)]
    for step in steps:
        found = [*_reference_problems(step, by_name, parameters), *_dependency_problems(step, by_name)]
        # Features are judged on resolved values, so only where the references are sound.
        problems += [f"{step.name}: {problem}" for problem in found or _support_problems(step, parameters)]
    ordered: list[Step] = []
    if not problems:
        ordered, problems = _ordered(steps)
    if problems:
        raise problems_error("definition", problems, "Nothing was run. Fix the definition, then start again.")
    return ordered


def _flatten(requests: list[dict[str, Any]], branch: Branch | None) -> Iterator[Step]:
    for request in requests:
        arguments = dict(request.get("Arguments") or {})
        name = str(request.get("Name", ""))
        inner = {True: arguments.pop("IfSteps", []), False: arguments.pop("ElseSteps", [])}
        depends = {_dependency(entry) for entry in request.get("DependsOn", [])}
        yield Step(
            name=name,
            type=str(request.get("Type", "")),
            arguments=arguments,
            needs=frozenset(references(arguments) | depends | ({branch.condition} if branch else set())),
            branch=branch,
            property_files={file["PropertyFileName"]: file for file in request.get("PropertyFiles", [])},
            cache=request.get("CacheConfig"),
        )
        for outcome, children in inner.items():
            yield from _flatten(children, Branch(name, outcome))


def _dependency(entry: str | Mapping[str, str]) -> str:
    if isinstance(entry, str):
        return entry
    if entry.get("Trigger", "Completed") != "Completed":
        raise UserError(f"definition: DependsOn {dict(entry)}: run conditions are not supported on this machine")
    return entry["Step"]


def _name_problems(steps: list[Step]) -> Iterator[str]:
    seen = set()
    for step in steps:
        if not _STEP_NAME.fullmatch(step.name):
            yield f"{step.name!r} is not a step name (letters, digits, - and _, at most 64)"
        if step.name in seen:
            yield f"{step.name}: two steps have this name"
        seen.add(step.name)


def _reference_problems(step: Step, steps: Mapping[str, Step], parameters: Mapping[str, Any]) -> Iterator[str]:
    for expression in expressions(dict(step.arguments)):
        if function_of(expression) not in FUNCTIONS:
            yield f"the function {function_of(expression)} is not supported; supported are {', '.join(FUNCTIONS)}"
    for path in dict.fromkeys(paths(dict(step.arguments))):
        root, _, rest = path.partition(".")
        if root == "Parameters" and rest not in parameters:
            yield f"{path}: no such parameter{did_you_mean(rest, parameters)}"
        elif root == "Execution" and rest not in EXECUTION_VARIABLES:
            yield f"{path}: no such execution variable; there are {', '.join(EXECUTION_VARIABLES)}"
        elif root == "Steps" and (target := property_file_of(path)) and target[0] in steps:
            known = steps[target[0]].property_files
            if target[1] not in known:
                yield f"{path}: step {target[0]} has no such property file{did_you_mean(target[1], known)}"
        elif root == "Steps" and step_of(path) in steps:
            yield from _property_problems(path, steps[step_of(path)])
        elif root not in ("Parameters", "Execution", "Steps"):
            yield f"{path}: must start with Parameters., Execution. or Steps."


def _property_problems(path: str, target: Step) -> Iterator[str]:
    """The one reference that can be judged early and is often wrong: the name of a Processing step's output."""
    match = re.search(r"\.ProcessingOutputConfig\.Outputs\[['\"](.+?)['\"]\]", path)
    if match and target.type == "Processing":
        outputs = support.output_names(target.arguments)
        if match[1] not in outputs:
            yield f"{path}: step {target.name} has no such output{did_you_mean(match[1], outputs)}"


def _dependency_problems(step: Step, steps: Mapping[str, Step]) -> Iterator[str]:
    own = _branches(step, steps)
    for name in sorted(step.needs):
        if name not in steps:
            yield f"there is no step {name!r} to refer to{did_you_mean(name, steps)}"
            continue
        for branch in _branches(steps[name], steps):
            if Branch(branch.condition, not branch.outcome) in own:
                yield f"refers to {name}, which sits in the other branch of {branch.condition} and never runs with it"


def _branches(step: Step, steps: Mapping[str, Step]) -> list[Branch]:
    found = []
    branch = step.branch
    while branch is not None and branch not in found:
        found.append(branch)
        branch = steps[branch.condition].branch
    return found


def _support_problems(step: Step, parameters: Mapping[str, Any]) -> Iterator[str]:
    if step.type == "Condition":
        for condition in step.arguments.get("Conditions", []):
            yield from conditions.problems(condition)
        return
    # Placeholders: what is asked of the arguments here (counts, modes, types) is never an execution's id or time.
    scope = Scope(parameters, dict.fromkeys(EXECUTION_VARIABLES, "unknown-yet"), Store(Path()))
    arguments = evaluate_known(dict(step.arguments), scope, step.name)
    yield from support.problems(step.type, arguments, step.property_files)


def _ordered(steps: list[Step]) -> tuple[list[Step], list[str]]:
    """Steps after all they need, otherwise in the definition's order; or the steps of a circle, as a problem."""
    done: set[str] = set()
    ordered = []
    waiting = list(steps)
    while waiting:
        step = next((step for step in waiting if step.needs <= done), None)
        if step is None:
            circle = ", ".join(f"{step.name} needs {' and '.join(sorted(step.needs - done))}" for step in waiting)
            return [], [f"steps wait for each other: {circle}"]
        waiting.remove(step)
        done.add(step.name)
        ordered.append(step)
    return ordered, []
