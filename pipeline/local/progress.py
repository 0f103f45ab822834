"""Shows a running execution: a live table on a terminal, a line for each change anywhere else.

Draws on stderr unless given a console: stdout belongs to `--json`. When a step fails, its reason and the last lines of
its log follow.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.files import last_lines
from pipeline.local.events import Event, ExecutionChanged, Listener, MetricsReported, StepChanged
from pipeline.local.state.records import Execution, StepRecord
from pipeline.texts import duration, metrics_text

TAIL_LINES = 20
_LINE_SECONDS = 10.0  # between two lines about the same training, where lines cannot be redrawn
_MARKS = {
    "Pending": ("·", "dim"),
    "Starting": ("▸", "cyan"),
    "Executing": ("▸", "cyan"),
    "Succeeded": ("✓", "green"),
    "Failed": ("✗", "red"),
    "Stopped": ("■", "yellow"),
    "Skipped": ("-", "dim"),
}


@contextlib.contextmanager
def watch(console: Console | None = None) -> Iterator[Listener]:
    """A listener for `run_execution` that shows what happens while the context lasts."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(console).listen
        return
    table = _LiveTable()
    with Live(console=console, get_renderable=table.render, refresh_per_second=4, transient=False) as live:
        yield table.listen
        live.refresh()
    for step in table.failed():
        show_failure(console, step)


def show_failure(console: Console, step: StepRecord) -> None:
    """Why a step failed, and the last lines of its log."""
    console.print(Text(f"{step.name} failed: {step.failure_reason}", style="red"), soft_wrap=True)
    lines = last_lines(Path(step.log), TAIL_LINES) if step.log else []
    if lines:
        console.print(Text(f"The last lines of {step.log}:", style="bold"), soft_wrap=True)
        for line in lines:
            console.print(Text(f"  {line}"), soft_wrap=True)


class _LiveTable:
    """The execution as a table that is drawn again and again; only ever looks at the record it was shown."""

    def __init__(self) -> None:
        self._execution: Execution | None = None

    def listen(self, event: Event) -> None:
        if isinstance(event, ExecutionChanged):
            self._execution = event.execution

    def failed(self) -> list[StepRecord]:
        steps = self._execution.steps if self._execution else []
        return [step for step in steps if step.status == "Failed"]

    def render(self) -> RenderableType:
        execution = self._execution
        if execution is None:
            return Text("")
        table = Table.grid(padding=(0, 2))
        for step in execution.steps:
            mark, style = _MARKS[step.status]
            table.add_row(Text(mark, style=style), Text(step.name, style=style), _elapsed(step), _detail(step))
        title = Text(f"{execution.pipeline_name} · execution {execution.id} · {execution.status}", style="bold")
        return Group(title, table)


def _elapsed(step: StepRecord) -> Text:
    seconds = step.seconds
    return Text("cached" if step.cached else "" if seconds is None else duration(seconds), justify="right")


def _detail(step: StepRecord) -> RenderableType:
    if step.status == "Pending":
        return Text("")
    if step.status in ("Failed", "Stopped", "Skipped"):
        return Text(step.status.lower(), style=_MARKS[step.status][1])
    if step.type == "Condition" and step.properties:
        return Text("yes" if step.properties["Outcome"] == "True" else "no", style="dim")
    text = Text(metrics_text(step.metrics), style="dim" if step.status == "Succeeded" else "")
    total = step.metrics.get("train:max_steps")
    if step.status != "Executing" or not total:
        return text
    row = Table.grid(padding=(0, 1))
    row.add_row(ProgressBar(total=total, completed=step.metrics.get("train:step", 0), width=20), text)
    return row


class _Lines:
    """The execution as plain lines: for files, pipes and continuous integration."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._metrics: dict[str, dict[str, float]] = {}
        self._next_line: dict[str, float] = {}

    def listen(self, event: Event) -> None:
        if isinstance(event, ExecutionChanged):
            reason = (event.execution.failure_reason or "").partition("\n")[0]  # the failed step has told the rest
            self._print(f"execution {event.execution.id}: {event.execution.status}{reason and f': {reason}'}")
        elif isinstance(event, StepChanged):
            self._step(event.step)
        else:
            self._report(event)

    def _step(self, step: StepRecord) -> None:
        if step.status in ("Starting", "Skipped"):
            return  # nothing to tell yet, or nothing happened
        if step.status == "Failed":
            show_failure(self._console, step)
            return
        took = "" if step.status == "Executing" or step.seconds is None else f" in {duration(step.seconds)}"
        status = "cached" if step.cached else f"{step.status}{took}"
        metrics = metrics_text(step.metrics) if step.status == "Succeeded" else ""
        outcome = f" ({step.properties['Outcome']})" if step.type == "Condition" and step.properties else ""
        self._print(f"{step.name}: {status}{outcome}{f'; {metrics}' if metrics else ''}")

    def _report(self, event: MetricsReported) -> None:
        metrics = self._metrics.setdefault(event.step, {})
        metrics.update(event.values)
        text = metrics_text(metrics)
        if text and time.monotonic() >= self._next_line.get(event.step, 0):
            self._next_line[event.step] = time.monotonic() + _LINE_SECONDS
            self._print(f"{event.step}: {text}")

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
