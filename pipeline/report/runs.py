"""All executions of a pipeline as one HTML page: held-out accuracy over time, and what became of each.

Accuracies of executions with other held-out rows are not comparable row by row; the page shows each with its interval
(Wilson, 95 %) and its number of rows, and says so. Limits: the figures are those that the gate judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.aws.executions import ENDED, ExecutionSummary, StepSummary
from pipeline.report import artifacts
from pipeline.report.page import REFRESH, STATES, approval, template
from pipeline.report.source import Source
from pipeline.texts import duration, moment, now
from pipeline.versions.registry import ModelVersion
from steps.shared.pages.template import share
from steps.shared.statistics.intervals import wilson_interval
from steps.train.results.curves import Axis

FILES = ("gate.json", "registered.json")
LEAST = (0.4, 1.0)  # the smallest range of the axis of accuracy
TOLD_STEPS = 12  # marks along the axis of executions, at most


@dataclass(frozen=True)
class Accuracy:
    """What the gate judged: the held-out reward accuracy, its Wilson interval, and the least that passes."""

    value: float
    low: float
    high: float
    rows: int
    least: float


@dataclass(frozen=True)
class Run:
    """One execution; `problem`: what of it cannot be read."""

    execution: ExecutionSummary
    accuracy: Accuracy | None = None
    decision: str = ""
    version: ModelVersion | None = None
    failed_in: str = ""
    problem: str = ""


def gather(source: Source, execution: ExecutionSummary, steps: Sequence[StepSummary]) -> Run:
    """What the page tells of one execution."""
    left = artifacts.read(source, steps, only=FILES)
    failed = next((step for step in steps if step.status == "Failed"), None)
    problem = "; ".join(left.damaged)
    accuracy = None
    try:
        accuracy = None if left.gate is None else _accuracy(left.gate)
    except (KeyError, TypeError, ValueError) as error:
        problem = problem or f"gate.json is of another version, or damaged ({type(error).__name__}: {error})"
    return Run(
        execution,
        accuracy,
        str((left.gate or {}).get("decision", "")),
        source.version(left.package) if left.package else None,
        failed.name if failed and failed.type != "Fail" else "",
        problem,
    )


def _accuracy(gate: Mapping[str, Any]) -> Accuracy:
    value, rows = float(gate["reward_accuracy"]), int(gate["rows"])
    return Accuracy(value, *wilson_interval(value * rows, rows), rows, float(gate["threshold"]))


def render(runs: Iterable[Run], notes: Sequence[str] = (), options: str = "") -> str:
    """The page; a part for each pipeline.

    Args:
        runs: newest first.
        notes: what is left out, and why.
        options: what a command needs to mean the same place, with a space before.
    """
    by_pipeline: dict[str, list[Run]] = {}
    for run in runs:
        by_pipeline.setdefault(run.execution.pipeline, []).append(run)
    parts = [_pipeline(number, name, found) for number, (name, found) in enumerate(sorted(by_pipeline.items()))]
    running = any(run.execution.status not in ENDED for found in by_pipeline.values() for run in found)
    count = sum(map(len, by_pipeline.values()))
    heading = f"{count:,} execution{'' if count == 1 else 's'} of {', '.join(sorted(by_pipeline)) or 'no pipeline yet'}"
    return template("runs.html.jinja").render(
        title=heading, heading=heading, parts=parts, notes=notes, refresh=REFRESH if running else None,
        as_of=moment(now()), options=options,
    )  # fmt: skip


def _pipeline(number: int, name: str, runs: Sequence[Run]) -> dict[str, Any]:
    judged = [run for run in reversed(runs) if run.accuracy]  # oldest first, as time goes
    registered = sum(run.version is not None for run in runs)
    return {
        "id": f"pipeline-{number}",
        "name": name,
        "registered": registered,
        "count": len(runs),
        "plot": _plot(judged),
        "lines": [_line(run) for run in runs],
    }


def _plot(judged: Sequence[Run]) -> dict[str, Any] | None:
    """Where each execution stands, in per cent of the plot; y grows downward, as in SVG."""
    found = [(run, run.accuracy) for run in judged if run.accuracy]
    if not found:
        return None
    y = Axis.over([edge for _, one in found for edge in (one.low, one.high, one.least)], LEAST)
    x = Axis(-0.5, len(found) - 0.5)
    every = -(-len(found) // TOLD_STEPS)
    times = [moment(run.execution.started) for run, _ in found]
    shown = slice(5, 10) if len({time[:10] for time in times}) > 1 else slice(11, 16)  # the day, or within one the time
    return {
        "x_ticks": [{"at": x.at(index), "text": times[index][shown]} for index in range(0, len(found), every)],
        "y_ticks": [{"at": round(100 - y.at(tick), 3), "text": share(tick)} for tick in _tenths(y)],
        "points": [
            {
                "x": x.at(index),
                "y": round(100 - y.at(one.value), 3),
                "low": round(100 - y.at(one.low), 3),
                "high": round(100 - y.at(one.high), 3),
                "least": round(100 - y.at(one.least), 3),
                "left": x.at(index - 0.4),
                "right": x.at(index + 0.4),
                "colour": _colour(run),
                "label": f"v{run.version.version}" if run.version else "",
                "told": f"{run.execution.id}: {share(one.value)} of {one.rows} rows, {run.decision}",
            }
            for index, (run, one) in enumerate(found)
        ],
    }


def _tenths(axis: Axis) -> list[float]:
    return [tenth / 10 for tenth in range(11) if axis.low - 1e-9 <= tenth / 10 <= axis.high + 1e-9]


def _colour(run: Run) -> str:
    if run.version and run.version.champion:
        return "champion"
    return "candidate" if run.version else "base"


def _line(run: Run) -> dict[str, Any]:
    execution, one, version = run.execution, run.accuracy, run.version
    took = (execution.ended - execution.started).total_seconds() if execution.started and execution.ended else None
    outcome = f"{execution.status} in {run.failed_in}" if run.failed_in else execution.status
    return {
        "id": execution.id,
        "name": execution.name or "",
        "started": moment(execution.started),
        "took": "" if took is None else duration(took),
        "style": STATES.get(execution.status, ""),
        "outcome": outcome,
        "accuracy": share(one.value) if one else "",
        "interval": f"{share(one.low)} – {share(one.high)}" if one else "",  # noqa: RUF001 (a range)
        "rows": f"{one.rows:,}" if one else "",
        "decision": run.decision,
        "decided": {"pass": "good", "fail": "bad"}.get(run.decision, ""),
        "version": f"{version.group} {version.version}" if version else "",
        "approval": approval(version) if version else None,
        "problem": run.problem,
    }
