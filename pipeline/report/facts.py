"""All that the page of an execution tells, gathered once: how it stands, what it left, and what comes next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.aws.executions import ENDED, ExecutionSummary, StepSummary
from pipeline.parameters.history import ParameterUse
from pipeline.parameters.values import Value
from pipeline.preflight import costs
from pipeline.preflight.costs import Usage
from pipeline.rendered import Definition, read
from pipeline.report import artifacts, metric_lines
from pipeline.report.artifacts import Artifacts
from pipeline.report.source import Source
from pipeline.versions.registry import ModelVersion

TRAINING = "Train"
TOLD = ("Failed", "Executing", "Stopping")  # steps of which the end of the log is shown
LAST_LINES = 25


@dataclass(frozen=True)
class Command:
    """A next command, and what it is for; without a command it is a remark."""

    purpose: str
    command: str = ""


@dataclass(frozen=True)
class Told:
    """A step that failed, or runs now, with the end of its log, and what to do about a failure where that is known."""

    step: StepSummary
    last_lines: list[str]
    advice: str = ""


@dataclass(frozen=True)
class Facts:
    """What is known of an execution.

    Attributes:
        usage: what it may use, and cost, at most; without jobs where the definition does not tell.
        model: where the files of the registered version lie, as a person reaches them.
        champion: of the registered version's group, the number of the newest approved version.
        history: of the training: what it left, or what its log says where it has not ended well.
        told: the steps that failed or run now.
        inputs: of each parameter that names a place in S3, how a person reaches it.
        again: the command that starts the same again.
        notes: what could not be read, and why.
    """

    execution: ExecutionSummary
    steps: list[StepSummary]
    definition: Definition
    parameters: Sequence[ParameterUse]
    usage: Usage
    left: Artifacts
    local: bool
    history: list[dict[str, Any]]
    told: list[Told]
    version: ModelVersion | None = None
    model: str = ""
    champion: int | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    again: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return self.execution.status in ENDED


def gather(
    source: Source,
    execution: ExecutionSummary,
    steps: Sequence[StepSummary],
    parameters: Sequence[ParameterUse],
    again: str,
    prices: Mapping[str, float] | None = None,
    advice: Mapping[str, str] | None = None,
) -> Facts:
    """All of it, as it stands now.

    Args:
        steps: those that were reached.
        advice: what to do about a failed step, by its name, where that is known.
    """
    definition = source.definition()
    values = {use.name: use.value for use in parameters if use.value is not None}
    notes = []
    try:
        usage = costs.usage(definition, values, prices)
    except (LookupError, TypeError, ValueError) as error:  # another's definition, or what only a run can tell
        usage = Usage(())
        notes.append(f"What it may use at most is not known: the definition does not tell ({error!r}).")
    left = artifacts.read(source, steps)
    version = source.version(left.package) if left.package else None
    logs = {step.name: source.log(step) for step in steps if step.status in TOLD}
    found = Facts(
        execution,
        list(steps),
        read(definition),
        parameters,
        usage,
        left,
        source.local,
        left.history or metric_lines.history(logs.get(TRAINING, ())),
        [Told(step, _end(logs[step.name]), (advice or {}).get(step.name, "")) for step in steps if step.name in logs],
        version,
        source.shown(version.model_uri) if version and version.model_uri else "",
        source.champion(version.group) if version else None,
        {name: source.shown(str(value)) for name, value in values.items() if _is_place(name, value)},
        again,
    )
    found.notes.extend([*notes, *left.damaged, *source.refused])
    return found


def _is_place(name: str, value: Value) -> bool:
    return isinstance(value, str) and value.startswith("s3://") and name.endswith("Uri")


def _end(log: Sequence[str]) -> list[str]:
    """The last lines of a log that are not blank; of a progress bar redrawn in place, its last state."""
    lines = [line.rpartition("\r")[2].rstrip() for line in log[-2 * LAST_LINES :]]
    return [line for line in lines if line][-LAST_LINES:]
