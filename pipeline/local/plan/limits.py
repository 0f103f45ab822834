"""What the service would refuse about a step's request once every value in it is known.

The checks before a run judge what can be known then; a value that a step wrote is known only now. Limits: members that
are missing are not judged here: a definition is checked for them before it is uploaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipeline.checks.api_requests import RequestCheck
from pipeline.checks.service_model import OPERATIONS
from pipeline.errors import problems_error
from pipeline.rendered import Definition, Step


def require(step: Step, arguments: Mapping[str, Any]) -> None:
    """
    Args:
        arguments: the evaluated ones.

    Raises:
        UserError: lengths, counts, patterns, names or types that the API refuses; all of them at once.
    """
    if step.type not in OPERATIONS:
        return
    found = RequestCheck.of(Definition({}, ()), replace(step, arguments=dict(arguments))).problems
    problems = [problem.removeprefix(f"{step.where}: ") for problem in found if not problem.endswith(": is missing")]
    if problems:
        raise problems_error(
            f"AWS would refuse {OPERATIONS[step.type][0]}",
            problems,
            "It was not asked for. Fix what gives the value.",
        )
