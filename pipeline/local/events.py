"""What a running execution reports, always from the thread that runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipeline.local.state.records import Execution, StepRecord


@dataclass(frozen=True)
class ExecutionChanged:
    """The execution began, is stopping, or ended."""

    execution: Execution


@dataclass(frozen=True)
class StepChanged:
    """A step has another status."""

    step: StepRecord


@dataclass(frozen=True)
class MetricsReported:
    """A step's log named values of metrics, those of one line together."""

    step: str
    values: Mapping[str, float]


Event = ExecutionChanged | StepChanged | MetricsReported
Listener = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """A listener for callers who only want the outcome."""
