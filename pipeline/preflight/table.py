"""Draw a preflight: what a run adds up to, the memory of one GPU by item and phase, and the notes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from steps.train.preflight.fixes import gib
from steps.train.preflight.memory import GIB, Phase
from steps.train.preflight.preflight import Preflight
from steps.train.preflight.totals import Plan

Row = tuple[str, str, str]  # name, value, style


def draw(result: Preflight) -> Group:
    """The picture of a preflight; its problems are for the caller to raise."""
    parts: list[RenderableType] = _section(f"Run on {result.machine.name}", _plan(result.plan))
    if result.memory:
        peak = result.memory.peak
        parts += _section(f"Memory of one GPU at its peak ({peak.name}), GiB", _items(peak, result), right=True)
        phases = ((phase.name, _number(phase.bytes), _strong(phase is peak)) for phase in result.memory.phases)
        parts += _section("Phases, GiB", phases, right=True)
    else:
        parts.append(Text(f"Memory not estimated: {result.unknown}"))
    parts += [Text(line) for line in (*_verdict(result), *(f"Note: {note}" for note in result.notes))]
    return Group(*parts)


def _section(title: str, rows: Iterable[Row], *, right: bool = False) -> list[RenderableType]:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right" if right else "left")
    for name, value, style in rows:
        table.add_row(name, value, style=style)
    return [Text(title, style="bold"), table, Text()]


def _plan(plan: Plan) -> Iterator[Row]:
    yield "processes", f"{plan.ranks}", ""
    yield "pairs an optimizer step", f"{plan.pairs_per_step:,}", ""
    if plan.steps is None:
        yield "optimizer steps", f"one for {plan.pairs_per_step:,} rows of {plan.epochs:g} epoch(s)", ""
    else:
        yield "optimizer steps", f"{plan.steps:,}, of them {plan.warmup_steps:,} warm-up", ""
        yield "pairs seen", f"{plan.pairs_seen:,}", ""
        yield "tokens seen", f"at most {plan.tokens_at_most:,}", ""
    rows = "--rows N tells steps and tokens" if plan.rows is None else f"{plan.rows:,} given"
    yield "rows needed", f"{plan.rows_needed:,}; {rows}", ""


def _items(peak: Phase, result: Preflight) -> Iterator[Row]:
    for item in peak.items:
        yield item.name, _number(item.bytes), ""
    yield "sum", _number(peak.bytes), "bold"
    if gpu := result.machine.gpu:
        yield f"{gpu.name} has", _number(gpu.usable), "green" if result.fits else "red"


def _verdict(result: Preflight) -> Iterator[str]:
    if result.memory is None:
        return
    gpu = result.machine.gpu
    if result.fits is not None and gpu is not None:
        size = gib(result.memory.peak.bytes)
        yield f"{'Fits' if result.fits else 'Does not fit'}: {size} of {gib(gpu.usable)}"
    yield f"Smallest instance type on which it fits: {result.smallest or 'none in the table'}"


def _number(size: int) -> str:
    return f"{size / GIB:.2f}" if size >= GIB / 100 else "< 0.01"


def _strong(yes: bool) -> str:
    return "bold" if yes else ""
