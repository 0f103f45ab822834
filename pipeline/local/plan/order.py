"""The steps of a rendered definition in the order in which they run on this machine: one at a time.

Order comes from what a step refers to, from DependsOn, and from the Condition that a step lies in; steps that AWS would
run side by side run one after the other, in the definition's order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.errors import UserError, problems_error
from pipeline.local.plan.refusals import refusals
from pipeline.rendered import Step, read


def build_plan(definition: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[Step]:
    """The steps in running order.

    Raises:
        UserError: every problem that would stop the execution for sure, all of them at once.
    """
    found = read(definition)
    if not found.steps:
        raise UserError("definition: it has no Steps")
    problems = refusals(found, parameters)
    ordered: list[Step] = []
    if not problems:
        ordered, problems = _ordered(found.all_steps)
    if problems:
        raise problems_error("definition", problems, "Nothing was run. Fix the definition, then start again.")
    return ordered


def _ordered(steps: Sequence[Step]) -> tuple[list[Step], list[str]]:
    """Steps after all they need, otherwise in the definition's order; or the steps of a circle, as a problem."""
    done: set[str] = set()
    ordered: list[Step] = []
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
