"""What a run would use and cost at most, drawn for `check` and held against a limit for `start`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from pipeline.errors import UserError
from pipeline.preflight import costs
from pipeline.preflight.costs import JobUse, Usage
from pipeline.settings.workflow import Workflow

PricesFile = Annotated[
    Path | None,
    typer.Option("--prices", help="YAML, `INSTANCE_TYPE: dollars an hour`; else the account's.", show_default=False),
]
MaxCost = Annotated[
    float | None,
    typer.Option(
        "--max-cost", min=0, metavar="DOLLARS", help="Refuse to start if the run may cost more.", show_default=False
    ),
]


def prices_of(workflow: Workflow, given: Path | None) -> Mapping[str, float] | None:
    """The price table that was named, the account's, or None.

    Raises:
        InvalidFile: it is no price table.
    """
    path = given or workflow.prices
    return costs.load_prices(path) if path else None


def require_below(usage: Usage, limit: float, command: str) -> None:
    """
    Args:
        command: what to run again once it is cheaper.

    Raises:
        UserError: a price is missing, or the execution may cost more than the limit.
    """
    if usage.unpriced:
        raise UserError(f"--max-cost: {unpriced(usage)}, then: {command}")
    if usage.dollars is None:
        raise UserError(
            "--max-cost needs prices: write a table (`ml.m5.xlarge: 0.23`, dollars an hour, a line each) and name it "
            f"with --prices FILE, or as `prices` in the account's file, then: {command}"
        )
    if usage.dollars > limit:
        largest = max(usage.jobs, key=lambda job: job.dollars or 0)
        raise UserError(
            f"this run may cost up to ${usage.dollars:,.2f}, more than --max-cost {limit:g}; most of it is "
            f"{largest.step}: {_instances(largest)} for at most {_hours(largest)}, ${largest.dollars:,.2f}; choose "
            f"another instance (--set TrainInstanceType=…) or a lower max_runtime_hours (then upsert), then: {command}"
        )


def table(usage: Usage) -> Table:
    """The picture of a usage."""
    drawn = Table("Step", "Instances", "At most", title="A run uses at most", title_justify="left", box=None)
    priced = usage.dollars is not None or bool(usage.unpriced)
    if priced:
        drawn.add_column("Dollars", justify="right")
    for job in usage.jobs:
        dollars = "no price" if job.dollars is None else f"{job.dollars:,.2f}"
        drawn.add_row(job.step, _instances(job), _hours(job), *([dollars] if priced else []))
    if usage.dollars is not None:
        drawn.add_row("in all", "", "", f"{usage.dollars:,.2f}", style="bold")
    return drawn


def unpriced(usage: Usage) -> str:
    """Which instance types have no price, and how to give them one."""
    types = ", ".join(usage.unpriced)
    return f"the price table has none for {types}; add a line like `{usage.unpriced[0]}: 1.23` (dollars an hour)"


def sentence(usage: Usage) -> str:
    """`at most $12.30 for 25.0 instance-hours`, or why that is not known."""
    if usage.unpriced:
        return f"cost not known: {unpriced(usage)}"
    hours = sum(job.instance_hours for job in usage.jobs)
    return f"at most ${usage.dollars:,.2f} for {hours:,.1f} instance-hours (on-demand, without storage)"


def _instances(job: JobUse) -> str:
    return f"{job.instance_count} x {job.instance_type}{', spot' if job.spot else ''}"


def _hours(job: JobUse) -> str:
    warm = f" + {job.warm_hours * 60:g} min kept warm" if job.warm_hours else ""
    return f"{job.hours:g} h{warm}"
