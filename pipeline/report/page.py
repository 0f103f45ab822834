"""The facts of an execution as one HTML page that stands alone: no script, nothing loaded, for screens and paper.

What the page says is decided here and in sections.py; how it looks, in templates/ and in the parts that the steps'
own reports are made of. A part whose files are damaged, or of another version, says so and leaves the others standing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from pipeline.files import ROOT
from pipeline.report import judge as judge_part
from pipeline.report import sections
from pipeline.report.facts import Command, Facts
from pipeline.report.graph import STYLES
from pipeline.texts import duration, moment, now
from steps.shared.pages.template import load, share

if TYPE_CHECKING:
    from pipeline.versions.registry import ModelVersion

REFRESH = 10  # seconds after which the page of a running execution reads itself again
OTHERS = {"train": ROOT / "steps" / "train" / "results", "preprocess": ROOT / "steps" / "preprocess" / "report"}
# What a damaged file, or one of another version, may make of a part.
DAMAGED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, jinja2.TemplateError)
STATES = {**STYLES, "Stopping": "warn"}

Build = Callable[[Facts], Mapping[str, Any] | None]
# A part: the name of its template and of its anchor, its title, and what makes it; in the order of the page.
PARTS: tuple[tuple[str, str, Build], ...] = (
    ("told", "Log", sections.told),
    ("steps", "Steps", sections.steps),
    ("data", "Data", sections.data),
    ("figures", "Held-out figures", sections.figures),
    ("champion", "Champion", sections.champion),
    ("served", "As served", sections.served),
    ("curves", "Curves", sections.curves),
    ("said", "Answers", sections.said),
    ("gate", "Gate", sections.gate),
    ("judge", "Judge", judge_part.judge),
    ("version", "Version", sections.version),
    ("run", "What ran", sections.run),
)


@dataclass(frozen=True)
class Part:
    """A part of the page, drawn."""

    id: str
    title: str
    html: str


def render(facts: Facts, commands: Sequence[Command]) -> str:
    """The page of an execution; it reads itself again while the execution runs.

    Args:
        commands: what comes next.
    """
    execution = facts.execution
    found = [("next", "Next", lambda _: {"commands": commands} if commands else None), *PARTS]
    drawn = [part for name, title, build in found if (part := _part(name, title, build, facts))]
    heading = _heading(facts)
    return template("page.html.jinja").render(
        title=f"{execution.pipeline} {execution.id}: {heading}",
        refresh=None if facts.ended else REFRESH,
        status={"style": STATES.get(execution.status, ""), "text": execution.status},
        pills=_pills(facts),
        heading=heading,
        lead=_lead(facts),
        figures=_figures(facts),
        sections=drawn,
        notes=facts.notes,
        as_of=moment(now()),
    )


@cache
def template(name: str) -> jinja2.Template:
    """A template of this folder, with the parts of the steps' reports."""
    return load(Path(__file__).parent / "templates", name, others=OTHERS)


def _part(name: str, title: str, build: Build, facts: Facts) -> Part | None:
    """None where there is nothing to tell."""
    try:
        view = build(facts)
        return None if view is None else Part(name, title, template(f"{name}.html.jinja").render(view))
    except DAMAGED as error:
        why = f"{type(error).__name__}: {error}"
        return Part(name, title, template("broken.html.jinja").render(id=name, title=title, why=why))


def _heading(facts: Facts) -> str:
    running = [step.name for step in facts.steps if step.status in ("Starting", "Executing")]
    failed = [step for step in facts.steps if step.status == "Failed"]
    if not facts.ended:
        return f"Running: {', '.join(running)}" if running else "Running"
    if failed and failed[0].type == "Fail":
        return "The gate rejected the model"
    if failed:
        return f"Failed in {failed[0].name}"
    if facts.version:
        return f"Registered as {facts.version.group} version {facts.version.version}"
    if any(step.name == "NoNewData" and step.output == "True" for step in facts.steps):
        return "No new data: it ended before training"
    return facts.execution.status


def _lead(facts: Facts) -> str:
    execution = facts.execution
    name = f" ({execution.name})" if execution.name else ""
    parts = [f"Pipeline {execution.pipeline}, execution {execution.id}{name}"]
    if execution.started:
        parts.append(f"started {moment(execution.started)}")
        if execution.ended:
            took = duration((execution.ended - execution.started).total_seconds())
            parts.append(f"ended {moment(execution.ended)} after {took}")
    return ", ".join(parts) + ("; on this machine." if facts.local else "; on AWS.")


def _pills(facts: Facts) -> list[tuple[str, str]]:
    version = facts.version
    cached = sum(step.cached for step in facts.steps)
    found = [("", f"{cached} from the cache")] if cached else []
    return [*found, *([approval(version)] if version else [])]


def approval(version: ModelVersion) -> tuple[str, str]:
    """How a version's approval status is coloured, and how it reads."""
    styles = {"Approved": "good", "Rejected": "bad"}
    words = "Approved, champion" if version.champion else version.approval_status
    return styles.get(version.approval_status, "warn"), words


def _figures(facts: Facts) -> list[tuple[str, str, str]]:
    """The figures at the top: a label, the figure, and what more there is to say."""
    left, found = facts.left, []
    try:
        if gate := left.gate:
            accuracy = f"{share(gate['reward_accuracy_before'])} → {share(gate['reward_accuracy'])}"
            found.append(
                ("Held-out reward accuracy", accuracy, f"{gate['rows']} rows; at least {share(gate['threshold'])}")
            )
        elif evaluation := left.evaluation:
            accuracy = (
                f"{share(evaluation['before']['reward_accuracy'])} → {share(evaluation['after']['reward_accuracy'])}"
            )
            found.append(("Held-out reward accuracy", accuracy, f"{evaluation['rows']} rows"))
        if report := left.report:
            rows = report["rows"]
            more = f"{rows['quarantined']:,} set aside, {rows['duplicate']:,} duplicates"
            found.append(("Rows", f"{rows['train'] + rows['validation']:,} of {rows['read']:,}", more))
    except DAMAGED as error:
        found.append(("Figures", "damaged", f"{type(error).__name__}: {error}"))
    if version := facts.version:
        found.append(("Version", f"{version.group} {version.version}", approval(version)[1]))
    usage = facts.usage
    hours = f"{sum(job.instance_hours for job in usage.jobs):,.1f} instance-hours"
    if facts.local:
        found.append(("Cost", "nothing", "on this machine"))
    elif usage.dollars is not None:
        found.append(("Costs at most", f"${usage.dollars:,.2f}", hours))
    elif usage.jobs:
        found.append(("Runs at most", hours, "no prices are known"))
    return found
