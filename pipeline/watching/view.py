"""Draws what `watching` tells: a live table under the log on a terminal, a line for each event anywhere else.

Draws on the console that it is given, which is stderr's: stdout belongs to results.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipeline.aws import errors as aws
from pipeline.aws.executions import ExecutionSummary, StepSummary
from pipeline.texts import duration, metrics_text, now
from pipeline.watching.job_logs import RUNNING
from pipeline.watching.watch import Event, Logged, Notice, Progress, State, Tell

STYLES = {"Executing": "cyan", "Starting": "cyan", "Succeeded": "green", "Failed": "red", "Stopped": "yellow"}


@contextlib.contextmanager
def shown(console: Console) -> Iterator[Tell]:
    """A listener for `watching.wait` that shows what happens while the context lasts."""
    view = _View(console)
    if not console.is_terminal:
        yield view.tell
        return
    with Live(console=console, get_renderable=view.table, refresh_per_second=2, transient=False) as live:
        yield view.tell
        live.refresh()


class _View:
    """What has been told so far. On a terminal states and progress are in the table, and only the rest is a line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lines_only = not console.is_terminal
        self._execution: ExecutionSummary | None = None
        self._steps: list[StepSummary] = []
        self._progress: dict[str, Progress] = {}

    def tell(self, event: Event) -> None:
        if isinstance(event, State):
            self._state(event)
        elif isinstance(event, Progress):
            self._progress[event.step] = event
            if self._lines_only:
                self._print(f"{event.step}: {_doing(event)}")
        elif isinstance(event, Logged):
            self._print(f"{event.step} {event.line.node} | {event.line.message}")
        elif isinstance(event, Notice):
            self._print(event.text, style="yellow")

    def _state(self, event: State) -> None:
        before = {step.name: step for step in self._steps}
        was = self._execution
        self._execution, self._steps = event.execution, event.steps
        if not self._lines_only:
            return
        for step in event.steps:
            old = before.get(step.name)
            if old is None or (old.status, old.failure_reason) != (step.status, step.failure_reason):
                self._print(f"{step.name}: {outcome(step)}")
        if was is None or was.status != event.execution.status:
            self._print(f"execution {event.execution.id}: {event.execution.status}")

    def table(self) -> RenderableType:
        if self._execution is None:
            return Text("")
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, justify="right")
        table.add_column(overflow="fold")
        for step in self._steps:
            style = STYLES.get(step.status, "")
            running = step.status in RUNNING
            progress = self._progress.get(step.name)
            detail = _doing(progress) if running and progress else outcome(step)
            table.add_row(Text(step.name, style=style), _took(step), Text(detail, style=style))
        title = f"{self._execution.pipeline} · execution {self._execution.id} · {self._execution.status}"
        return Group(Text(title, style="bold"), table)

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style), soft_wrap=True)


def outcome(step: StepSummary) -> str:
    """`Succeeded`, `Succeeded, cached`, or `Failed: reason`, and what to do where the account is the reason."""
    state = f"{step.status}, cached" if step.cached else step.status
    if not step.failure_reason:
        return f"{state} ({step.output})" if step.output else state
    return f"{state}: {step.failure_reason}{advice_on(step.failure_reason)}"


def advice_on(reason: str) -> str:
    """What to do about a failure that is the account's, with a space before it."""
    advice = aws.advice(reason)
    return f" → {advice}" if advice else ""


def _doing(progress: Progress) -> str:
    return "; ".join(part for part in (progress.phase, metrics_text(progress.metrics)) if part)


def _took(step: StepSummary) -> Text:
    if step.started is None or step.cached:
        return Text("")
    return Text(duration(((step.ended or now()) - step.started).total_seconds()))
