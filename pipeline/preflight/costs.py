"""What one execution may use and cost at most: instances, hours bound by each job's longest run, and dollars.

Reads a rendered definition and parameter values; prices are the user's own table, since they differ by region and
contract. Limits: instances only, at the on-demand price (spot costs less), with storage, requests and traffic left out.
A step that Pipelines retries after a fault of the service runs anew; a cached step costs nothing. Both sides of a
condition count, unless the parameters alone decide it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, RootModel

from pipeline.parameters.values import Value
from pipeline.rendered import SIDES, Side, Step, read, reference
from pipeline.settings.schema import InstanceType
from steps.shared import typed_yaml

HOUR = 3600


class Prices(RootModel[dict[InstanceType, Annotated[float, Field(gt=0, allow_inf_nan=False)]]]):
    """Dollars of one instance for one hour, by instance type."""


@dataclass(frozen=True)
class JobUse:
    """What a step's job may use at most.

    Attributes:
        hours: the longest run of the job.
        warm_hours: how long the instances are kept, and paid, after it.
        dollars: None without a price.
    """

    step: str
    instance_type: str
    instance_count: int
    hours: float
    spot: bool = False
    warm_hours: float = 0.0
    dollars: float | None = None

    @property
    def instance_hours(self) -> float:
        return self.instance_count * (self.hours + self.warm_hours)


@dataclass(frozen=True)
class Usage:
    """What an execution may use at most.

    Attributes:
        dollars: None without a price table, and where it lacks a price.
        unpriced: the instance types that the price table lacks.
    """

    jobs: tuple[JobUse, ...]
    dollars: float | None = None
    unpriced: tuple[str, ...] = ()


def load_prices(path: Path) -> Mapping[str, float]:
    """A price table: one line `ml.g5.2xlarge: 1.52` an instance type.

    Raises:
        InvalidFile: the file is missing or has problems; all of them are named.
    """
    return typed_yaml.load(path, Prices).root


def usage(
    definition: Mapping[str, Any], values: Mapping[str, Value], prices: Mapping[str, float] | None = None
) -> Usage:
    """What an execution of this definition with these parameter values may use at most.

    Args:
        values: one for each parameter, as `resolve_parameters` gives them.
    """
    jobs = tuple(_jobs(read(definition).steps, values))
    if prices is None:
        return Usage(jobs)
    unpriced = tuple(sorted({job.instance_type for job in jobs} - prices.keys()))
    priced = tuple(_priced(job, prices) for job in jobs)
    return Usage(priced, None if unpriced else sum(job.dollars or 0 for job in priced), unpriced)


def _priced(job: JobUse, prices: Mapping[str, float]) -> JobUse:
    price = prices.get(job.instance_type)
    return job if price is None else replace(job, dollars=job.instance_hours * price)


def _jobs(steps: Iterable[Step], values: Mapping[str, Value]) -> Iterator[JobUse]:
    for step in steps:
        if step.type == "Condition":
            for side in _sides(step, values):
                yield from _jobs(step.branches.get(side, ()), values)
        elif step.type == "Training":
            yield _training(step, values)
        elif step.type == "Processing":
            yield _processing(step, values)


def _training(step: Step, values: Mapping[str, Value]) -> JobUse:
    resources = step.arguments["ResourceConfig"]
    return JobUse(
        step.name,
        str(_value(resources["InstanceType"], values)),
        int(_value(resources["InstanceCount"], values)),
        step.arguments["StoppingCondition"]["MaxRuntimeInSeconds"] / HOUR,
        spot=step.arguments.get("EnableManagedSpotTraining", False),
        warm_hours=resources.get("KeepAlivePeriodInSeconds", 0) / HOUR,
    )


def _processing(step: Step, values: Mapping[str, Value]) -> JobUse:
    cluster = step.arguments["ProcessingResources"]["ClusterConfig"]
    return JobUse(
        step.name,
        str(_value(cluster["InstanceType"], values)),
        int(_value(cluster["InstanceCount"], values)),
        step.arguments["StoppingCondition"]["MaxRuntimeInSeconds"] / HOUR,
    )


def _value(expression: Any, values: Mapping[str, Value]) -> Any:
    """A literal, or a parameter's value; None for what only a run can tell."""
    if not isinstance(expression, dict):
        return expression
    found = reference(expression)
    return values.get(found.name) if found and found.root == "Parameters" else None


def _sides(step: Step, values: Mapping[str, Value]) -> tuple[Side, ...]:
    """The sides that may be taken: one where comparisons of parameters with values decide it, otherwise both."""
    holds = [_holds(condition, values) for condition in step.arguments["Conditions"]]
    if False in holds:
        return ("ElseSteps",)
    return SIDES if None in holds else ("IfSteps",)


def _holds(condition: Mapping[str, Any], values: Mapping[str, Value]) -> bool | None:
    """Whether a condition holds; None where only a run can tell."""
    left, right = (_value(condition.get(side), values) for side in ("LeftValue", "RightValue"))
    return None if condition["Type"] != "Equals" or left is None or right is None else left == right
