"""The steps of an execution as a picture: rows from top to bottom, each below what it waits for.

Positions are pixels of the drawing. An edge that other edges already tell is left out. Limits: made for definitions of
a few steps a row; edges over several rows may pass behind a step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.aws.executions import ENDED, StepSummary
from pipeline.rendered import Definition, Step
from pipeline.texts import duration, now

WIDTH, HEIGHT = 168, 52  # of a step
GAP, DROP = 16, 28  # between two steps of a row, and between rows
EDGE = 6  # room around all

# A status, and the style in which it is drawn.
STYLES = {
    "Succeeded": "good",
    "Failed": "bad",
    "Stopped": "warn",
    "Stopping": "warn",
    "Starting": "busy",
    "Executing": "busy",
}
NOT_REACHED = "idle"


@dataclass(frozen=True)
class Node:
    """A step: the left upper corner of its box, how it is drawn, and the line under its name."""

    name: str
    x: float
    y: float
    style: str
    cached: bool
    said: str


@dataclass(frozen=True)
class Edge:
    """From a step to one that waits for it: the points of a line. `idle`: the second was not reached."""

    points: tuple[tuple[float, float], ...]
    idle: bool


@dataclass(frozen=True)
class Graph:
    width: float
    height: float
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def draw(definition: Definition, steps: Sequence[StepSummary], status: str) -> Graph:
    """The picture of a definition's steps as they stand.

    Args:
        steps: those that were reached.
        status: the execution's: in one that has succeeded, what was not reached lies on a branch not taken.
    """
    known = definition.by_name
    needs = {name: frozenset(step.needs & known.keys() - {name}) for name, step in known.items()}
    rows = _rows(needs)
    widest = max((len(row) for row in rows), default=0)
    width = widest * (WIDTH + GAP) - GAP + 2 * EDGE if rows else 0
    at = {name: place for number, row in enumerate(rows) for name, place in _placed(row, number, width)}
    by_name = {step.name: step for step in steps}
    nodes = [_node(known[name], by_name.get(name), place, status) for name, place in at.items()]
    edges = [
        Edge(_line(at[before], at[name]), idle=name not in by_name)
        for name, waits in needs.items()
        for before in sorted(waits - _told(waits, needs))
    ]
    return Graph(width, max(0, len(rows) * (HEIGHT + DROP) - DROP + 2 * EDGE), tuple(nodes), tuple(edges))


def _rows(needs: Mapping[str, frozenset[str]]) -> list[list[str]]:
    """The steps by the longest way to them; within a row near to what they wait for."""
    depths: dict[str, int] = {}

    def depth(name: str, above: frozenset[str]) -> int:
        if name not in depths:  # a circle, which no service takes, ends where it closes
            waits = [depth(before, above | {name}) + 1 for before in needs[name] - above]
            depths[name] = max(waits, default=0)
        return depths[name]

    rows: list[list[str]] = []
    for name in needs:
        row = depth(name, frozenset((name,)))
        rows.extend([] for _ in range(row + 1 - len(rows)))
        rows[row].append(name)
    column: dict[str, float] = {}
    for row_of in rows:
        middle = {name: _mean(column[before] for before in needs[name] if before in column) for name in row_of}
        row_of.sort(key=middle.__getitem__)
        column |= {name: index - (len(row_of) - 1) / 2 for index, name in enumerate(row_of)}
    return rows


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else 0.0


def _placed(row: Sequence[str], number: int, width: float) -> list[tuple[str, tuple[float, float]]]:
    left = (width - len(row) * (WIDTH + GAP) + GAP) / 2
    top = EDGE + number * (HEIGHT + DROP)
    return [(name, (left + index * (WIDTH + GAP), top)) for index, name in enumerate(row)]


def _line(start: tuple[float, float], end: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    x, y = start[0] + WIDTH / 2, start[1] + HEIGHT
    to_x, to_y = end[0] + WIDTH / 2, end[1]
    bend = to_y - DROP / 2
    return ((x, y), (to_x, to_y)) if x == to_x else ((x, y), (x, bend), (to_x, bend), (to_x, to_y))


def _told(waits: frozenset[str], needs: Mapping[str, frozenset[str]]) -> set[str]:
    """Those of a step's needs that another of its needs already waits for."""
    found: set[str] = set()
    left = [before for name in waits for before in needs[name]]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += needs[name]
    return found


def _node(step: Step, stands: StepSummary | None, place: tuple[float, float], status: str) -> Node:
    if idle := idle_word(stands, status):
        return Node(step.name, *place, NOT_REACHED, False, idle)
    assert stands is not None
    style = STYLES.get(stands.status, NOT_REACHED)
    return Node(step.name, *place, style, stands.cached, said(stands))


def idle_word(stands: StepSummary | None, status: str) -> str:
    """Why a step has not run in an execution of this status; empty where it has, or runs."""
    if stands is not None and stands.status not in ("Pending", "Skipped"):
        return ""
    if status not in ENDED:
        return "not reached yet"
    skipped = stands is not None and stands.status == "Skipped"
    return "not taken" if skipped or status == "Succeeded" else "not reached"


def said(step: StepSummary) -> str:
    """`Succeeded, 3:07`, `Succeeded, cached`, `Executing for 42 s`, and of a condition what it came to."""
    if step.cached:
        return f"{step.status}, cached"
    if step.type == "Condition" and step.output:
        return f"came to {step.output}"
    took = took_of(step)
    if not took:
        return step.status
    return f"{step.status}, {took}" if step.ended else f"{step.status} for {took}"


def took_of(step: StepSummary) -> str:
    """How long it ran, or has run so far; empty where it did not begin."""
    return duration(((step.ended or now()) - step.started).total_seconds()) if step.started else ""
