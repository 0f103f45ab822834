"""What the account test may start, and what it can cost at most: no other instances, each job with its time limit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipeline.definition.render import render
from pipeline.errors import UserError
from pipeline.parameters.values import resolve_parameters
from pipeline.preflight import costs
from pipeline.settings import workflow as settings

PRICES = Path(__file__).with_name("prices.yaml")
ALLOWED = frozenset({"ml.m5.large", "ml.m5.xlarge"})
LONGEST_HOURS = 1.0  # of one job
MOST_DOLLARS = 4.0  # of the whole test, were every job to run to its limit
EXPECTED = "about 10 to 30 cents"


@dataclass(frozen=True)
class Start:
    """One execution of the test.

    Attributes:
        parameters: what differs from the defaults.
        by_job: the pipeline's variant that registers from a job.
    """

    name: str
    why: str
    parameters: Mapping[str, str]
    by_job: bool = False


STARTS = (
    Start("first", "every step, and a merged model registered", {}),
    Start("again", "the same once more: what ran comes from the cache", {}),
    Start("adapter", "the other branch: an adapter registered", {"MergeWeights": "false"}),
    Start("no-new-data", "ends before training", {"SkipIfNoNewData": "true"}),
    Start("gate-fails", "the gate's threshold out of reach", {"RewardAccuracyThreshold": "1"}),
    Start("retried", "the same execution, retried", {"RewardAccuracyThreshold": "1"}),
    Start("job-fails", "no row is held out: the reason of a job that fails", {"ValidationFraction": "0.00001"}),
    Start("by-job", "registered by a job instead of a step", {}, by_job=True),
)


@dataclass(frozen=True)
class Bound:
    """The most that each execution, and all together, may cost, in dollars."""

    executions: Mapping[str, float]
    prices_file: Path

    @property
    def dollars(self) -> float:
        return sum(self.executions.values())

    @property
    def dearest(self) -> float:
        """The bound of the dearest execution, above which none is started."""
        return max(self.executions.values())


def bound(by_step: Path, by_job: Path) -> Bound:
    """What the executions may cost at most, each job to the end of its time limit and nothing from the cache.

    Args:
        by_step: the settings whose Register is a step; `by_job`, the same with the job.

    Raises:
        UserError: a job would run on other instances than those that are allowed, on several, or too long; or all
            together may cost more than this test is made for.
    """
    prices_file = price_table(by_step)
    prices, found = costs.load_prices(prices_file), {}
    rendered = cache(lambda path: json.loads(render(settings.load(path))))
    for start in STARTS:
        definition = rendered(by_job if start.by_job else by_step)
        usage = costs.usage(definition, resolve_parameters(definition, dict(start.parameters)), prices)
        require_small(usage)
        found[start.name] = usage.dollars or 0.0
    most = Bound(found, prices_file)
    if most.dollars > MOST_DOLLARS:
        raise UserError(f"the account test could cost ${most.dollars:.2f}; it is made for ${MOST_DOLLARS:.2f} at most")
    return most


def price_table(path: Path) -> Path:
    """The account's own prices where they have every type that is allowed, else the test's."""
    own = settings.load(path).prices
    return own if own and costs.load_prices(own).keys() >= ALLOWED else PRICES


def require_small(usage: costs.Usage) -> None:
    """
    Raises:
        UserError: a job is none that this test may start.
    """
    for job in usage.jobs:
        if job.instance_type not in ALLOWED:
            allowed = ", ".join(sorted(ALLOWED))
            raise UserError(f"{job.step}: {job.instance_type}: the account test runs on {allowed} only")
        if job.instance_count != 1 or job.warm_hours or job.hours > LONGEST_HOURS:
            raise UserError(
                f"{job.step}: {job.instance_count} instances for {job.hours:g} h ({job.warm_hours:g} h kept warm): the "
                f"account test takes one, for {LONGEST_HOURS:g} h at most"
            )
