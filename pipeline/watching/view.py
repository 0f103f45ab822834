"""Draws what is told of an execution, on AWS or on this machine: a live table on a terminal, lines anywhere else.

Draws on the console that it is given, which is stderr's: stdout belongs to results.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from threading import RLock

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.aws.errors import advice_on
from pipeline.aws.executions import StepSummary
from pipeline.texts import duration, metrics_text, took
from pipeline.watching import beat, pulse
from pipeline.watching.job_logs import RUNNING
from pipeline.watching.pace import Pace
from pipeline.watching.watch import Event, LastLines, Logged, Notice, Progress, State, Tell
from steps.shared.pages import visible
from steps.shared.signs import phases

LINE_SECONDS = 10.0  # between two lines about the same phase of a job, where lines cannot be redrawn
MARKS = {
    "Pending": ("·", "dim"),
    "Starting": ("▸", "cyan"),
    "Executing": ("▸", "cyan"),
    "Stopping": ("▸", "yellow"),
    "Succeeded": ("✓", "green"),
    "Failed": ("✗", "red"),
    "Stopped": ("■", "yellow"),
    "Skipped": ("-", "dim"),
}
AT_STEP = "train:step"
BY_STEPS = ("", "Training")  # what is said of a job that tells no phase of its own, here and on AWS
NOT_EVALUATED: tuple[dict[str, float], float | None] = ({}, None)
SILENT = ("Pending", "Starting", "Skipped")  # nothing to tell yet, or nothing happened


@contextlib.contextmanager
def shown(console: Console) -> Iterator[Tell]:
    """A listener that shows what happens to an execution while the context lasts."""
    if not pulse.redraws(console):
        lines = _Lines(console)
        with beat.hold("view"), beat.Pulse(pulse.seconds(console), lines.still) as signs:

            def tell(event: Event) -> None:
                if lines.tell(event):
                    signs.touch()

            yield tell
        return
    table = _LiveTable(console)
    shows = Live(console=console, get_renderable=table.render, refresh_per_second=4, transient=False)
    with beat.hold("view"), shows as live:
        yield table.tell
        live.refresh()
    table.explain_failures()


class _LiveTable:
    """The execution as a table that is drawn again and again, under the log lines that are told meanwhile."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._state: State | None = None
        self._progress: dict[str, Progress] = {}
        self._pace = Pace()
        self._evaluated: dict[str, tuple[dict[str, float], float | None]] = {}  # figures, and the step of their news
        self._last_lines: dict[str, LastLines] = {}

    def tell(self, event: Event) -> None:
        if isinstance(event, State):
            self._state = event
        elif isinstance(event, Progress):
            self._progress[event.step] = event
            self._pace.saw(event)
            if self._evaluated.get(event.step, NOT_EVALUATED)[0] != (found := _held_out(event)):
                self._evaluated[event.step] = found, event.metrics.get(AT_STEP)
        elif isinstance(event, LastLines):
            self._last_lines[event.step] = event
        else:
            _say(self._console, event)

    def render(self) -> RenderableType:
        if self._state is None:
            return Text("")
        execution = self._state.execution
        table = Table.grid(padding=(0, 2))
        table.add_column()
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, justify="right")
        table.add_column(overflow="fold")
        for step in self._state.steps:
            mark, style = MARKS.get(step.status, ("", ""))
            time_taken = "cached" if step.cached else took(step.started, step.ended)
            table.add_row(
                Text(mark, style), Text(step.name, style), time_taken, _detail(step, self._news(step), self._pace)
            )
        title = f"{execution.pipeline} · execution {execution.id} · {execution.status}"
        return Group(Text(title, style="bold"), table)

    def _news(self, step: StepSummary) -> Progress | None:
        """The progress of a step; while it runs without the held-out figures of an earlier optimizer step."""
        progress = self._progress.get(step.name)
        if progress is None or step.status not in RUNNING:
            return progress
        _, evaluated_at = self._evaluated.get(step.name, NOT_EVALUATED)
        return progress if progress.metrics.get(AT_STEP) == evaluated_at else _without_held_out(progress)

    def explain_failures(self) -> None:
        """Under the last table: why steps failed whose log is told too."""
        for step in self._state.steps if self._state else ():
            if step.status == "Failed" and step.name in self._last_lines:
                _print(self._console, _failure(step), style="red")
                _say(self._console, self._last_lines[step.name])


def _detail(step: StepSummary, progress: Progress | None, pace: Pace) -> RenderableType:
    if step.status == "Pending":
        return Text("")
    if step.status == "Succeeded":
        return Text((progress and metrics_text(progress.metrics)) or step.output or "", style="dim")
    if step.status not in RUNNING:
        reason = f": {_reason(step)}" if step.failure_reason else ""
        return Text(f"{step.status.lower()}{reason}", style=MARKS.get(step.status, ("", ""))[1])
    text = Text((progress and _doing(progress, pace)) or step.status)
    done, total = _far(progress) if progress else (None, None)
    if done is None or not total:
        return text
    row = Table.grid(padding=(0, 1))
    row.add_row(ProgressBar(total=total, completed=done, width=20), text)
    return row


def _far(progress: Progress) -> tuple[float | None, float | None]:
    """How far the phase is; of a job that tells none, its optimizer steps."""
    if progress.done is not None and progress.total is not None:
        return progress.done, progress.total
    if progress.phase not in BY_STEPS:
        return None, None
    return progress.metrics.get(AT_STEP, 0), progress.metrics.get("train:max_steps")


class _Lines:
    """The execution as plain lines: for files, pipes and continuous integration."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock, self._count = RLock(), 0  # of lines; another thread says that a step still runs
        self._running: list[StepSummary] = []
        self._execution_status = ""
        self._steps: dict[str, tuple[str, str | None]] = {}  # status and reason
        self._progress: dict[str, Progress] = {}
        self._pace = Pace()
        self._next_line: dict[tuple[str, str], float] = {}  # by step and phase
        self._evaluated: dict[str, dict[str, float]] = {}  # by step, the held-out figures that its last line told

    def tell(self, event: Event) -> bool:
        """Whether that was worth a line."""
        before = self._count
        with self._lock:
            if isinstance(event, State):
                self._state(event)
            elif isinstance(event, Progress):
                self._report(event)
            else:
                self._count += 1
                _say(self._console, event)
        return self._count > before

    def still(self) -> None:
        """That the steps that run still do, for how long, and how far they are."""
        with self._lock:
            for step in self._running:
                progress = self._progress.get(step.name)
                far = _doing(self._without_known(progress), self._pace) if progress else ""
                self._print(f"{step.name}: {took(step.started, None)} so far{far and f'; {far}'}")

    def _print(self, text: str, style: str = "") -> None:
        self._count += 1
        _print(self._console, text, style=style)

    def _state(self, event: State) -> None:
        self._running = [step for step in event.steps if step.status in RUNNING and step.started]
        for step in event.steps:
            found = step.status, step.failure_reason
            if self._steps.get(step.name) != found and step.status not in SILENT:
                self._step(step)
            self._steps[step.name] = found
        execution = event.execution
        if self._execution_status != execution.status:
            self._execution_status = execution.status
            reason = (execution.failure_reason or "").partition("\n")[0]
            for step in event.steps:  # a failed step has told its reason
                first = (step.failure_reason or "").partition("\n")[0]
                reason = reason.removesuffix(f": {first}") if step.status == "Failed" and first else reason
            self._print(f"execution {execution.id}: {execution.status}{reason and f': {reason}'}")

    def _step(self, step: StepSummary) -> None:
        if step.status == "Failed":
            self._print(_failure(step), style="red")
            return
        time_taken = f" in {took(step.started, step.ended)}" if step.ended and not step.cached else ""
        cached = ", cached" if step.cached else ""
        output = f" ({step.output})" if step.output else ""
        progress = self._progress.get(step.name)
        metrics = metrics_text(progress.metrics) if progress and step.status == "Succeeded" else ""
        self._print(f"{step.name}: {step.status}{time_taken}{cached}{output}{metrics and f'; {metrics}'}")

    def _report(self, event: Progress) -> None:
        self._progress[event.step] = event
        self._pace.saw(event)
        text, kind = _doing(self._without_known(event), self._pace), (event.step, event.phase)
        status, _ = self._steps.get(event.step, ("", None))
        if text and status in RUNNING and status not in SILENT and time.monotonic() >= self._next_line.get(kind, 0):
            self._next_line[kind] = time.monotonic() + LINE_SECONDS
            self._evaluated[event.step] = _held_out(event)
            self._print(f"{event.step}: {text}")

    def _without_known(self, event: Progress) -> Progress:
        """What is told of held-out rows, which are evaluated seldom, only when it is new."""
        evaluated = _held_out(event)
        is_new = not evaluated or evaluated != self._evaluated.get(event.step)
        return event if is_new else _without_held_out(event)


def _say(console: Console, event: Logged | LastLines | Notice) -> None:
    if isinstance(event, Logged):
        _print(console, f"{event.step} {event.line.node} | {event.line.message}")
    elif isinstance(event, Notice):
        _print(console, event.text, style="yellow")
    else:
        _print(console, f"The last lines of {event.file}:", style="bold")
        for line in event.lines:
            _print(console, f"  {line}")


def _print(console: Console, text: str, style: str = "") -> None:
    console.print(Text(visible.visible(text), style=style), soft_wrap=True)


def _failure(step: StepSummary) -> str:
    return f"{step.name} failed: {_reason(step)}"


def _reason(step: StepSummary) -> str:
    return f"{step.failure_reason}{advice_on(step.failure_reason or '')}"


def _doing(progress: Progress, pace: Pace) -> str:
    far = "" if progress.done is None or progress.total is None else f" {progress.done:,}/{progress.total:,}"
    seconds = pace.left(progress)
    left = "" if seconds is None else f", about {duration(seconds)} left"
    metrics = progress.metrics
    if progress.phase == phases.STEPS and far:  # the number that the last metric line had is an older one
        metrics = {name: value for name, value in metrics.items() if name != AT_STEP}
    return "; ".join(part for part in (f"{progress.phase}{far}{left}", metrics_text(metrics)) if part)


def _without_held_out(progress: Progress) -> Progress:
    rest = progress.metrics.keys() - _held_out(progress).keys()
    return replace(progress, metrics={name: value for name, value in progress.metrics.items() if name in rest})


def _held_out(progress: Progress) -> dict[str, float]:
    return {name: value for name, value in progress.metrics.items() if name.startswith("eval:")}
