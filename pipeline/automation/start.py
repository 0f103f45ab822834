"""What schedules and triggers share: what they stand on, how they are named, and the start that they lead to.

A name is the pipeline's, a dot, and the rest: a pipeline's own name has no dot, so that a prefix finds its own and no
other's. Imports no boto3.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import UserError, did_you_mean
from pipeline.settings.account import Automation
from pipeline.settings.workflow import Workflow

PIPELINE_LIMIT = 36  # of a name's 64 characters
RETRIES = {"MaximumRetryAttempts": 10, "MaximumEventAgeInSeconds": 3600}
SKIP = "SkipIfNoNewData"


def require(workflow: Workflow, settings: Path) -> Automation:
    """What schedules and triggers stand on.

    Raises:
        UserError: the account file does not name it.
    """
    if workflow.account.automation is None:
        raise UserError(
            f"{settings.parent / workflow.settings.account}: automation is missing, which schedules and triggers need; "
            f"make it and print it: python pipeline.py bootstrap --settings {shlex.quote(str(settings))}"
        )
    return workflow.account.automation


def prefix(pipeline: str) -> str:
    """What the names of a pipeline's schedules and rules start with."""
    if len(pipeline) <= PIPELINE_LIMIT:
        return f"{pipeline}."
    return f"{pipeline[: PIPELINE_LIMIT - 9]}-{short_hash(pipeline)}."


def short_hash(text: str) -> str:
    """Eight characters that tell one text from another."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def with_skip(overrides: Mapping[str, str]) -> dict[str, str]:
    """The parameters of an unattended start: it ends early where there is no new data, unless told not to."""
    return {SKIP: "true"} | dict(overrides)


def full_name(
    kind: Literal["schedule", "trigger"], pipeline: str, name: str, names: Iterable[str], options: str
) -> str:
    """AWS's name of a pipeline's schedule or trigger, which a command lists without what the names start with.

    Args:
        names: AWS's, of those that there are.

    Raises:
        UserError: there is none of that name.
    """
    start = prefix(pipeline)
    known = [entry.removeprefix(start) for entry in names]
    if name not in known:
        raise UserError(
            f"{name}: {pipeline} has no such {kind}{did_you_mean(name, known)}; see which there are: "
            f"python pipeline.py {kind}s{options}"
        )
    return f"{start}{name}"


def start_target(pipeline_arn: str, parameters: Mapping[str, str], automation: Automation) -> dict[str, Any]:
    """Scheduler's target that starts the pipeline; what fails for an hour ends in the dead-letter queue."""
    values = [{"Name": name, "Value": value} for name, value in sorted(parameters.items())]
    return {
        "Arn": pipeline_arn,
        "RoleArn": automation.scheduler_role_arn,
        "SageMakerPipelineParameters": {"PipelineParameterList": values},
        "RetryPolicy": RETRIES,
        "DeadLetterConfig": {"Arn": automation.dead_letter_queue_arn},
    }


def parameters_of(target: Mapping[str, Any]) -> dict[str, str]:
    """The parameters that a Scheduler target starts the pipeline with."""
    values = target.get("SageMakerPipelineParameters", {}).get("PipelineParameterList", [])
    return {entry["Name"]: entry["Value"] for entry in values}
