"""Watching an execution until it has ended: step states, the running jobs' progress, and their logs as they come.

`wait` asks and tells; what is asked is handed in, so that AWS's executions and this machine's are watched alike, and
what is told is drawn by `view`. A lost connection and throttling are outlasted: the execution runs without us.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.aws import errors as aws
from pipeline.aws.client import patiently, pause
from pipeline.aws.executions import ENDED, ExecutionSummary, StepSummary
from pipeline.watching import job_logs, job_metrics
from pipeline.watching.job_logs import LogLine, Tail
from steps.shared.signs import phases
from steps.shared.signs.phases import Phase

POLL_SECONDS = 10
WORKING = ("Training", "")  # by the service, the job's own program runs; it tells nothing of a processing job
SETTLE_SECONDS = 5  # how long a job's last lines take to become visible


@dataclass(frozen=True)
class State:
    """The execution and its steps, at first and after every change: on AWS those that it has reached, here all."""

    execution: ExecutionSummary
    steps: list[StepSummary]


@dataclass(frozen=True)
class Progress:
    """What a step's job is doing, when that has changed; where its phase is counted, `done` of `total`."""

    step: str
    phase: str
    metrics: dict[str, float]
    done: int | None = None
    total: int | None = None

    @classmethod
    def of(cls, step: str, phase: Phase | None, metrics: Mapping[str, float]) -> Progress:
        """With the phase that the job told last, if any."""
        found = phase or Phase("")
        return cls(step, found.name, dict(metrics), found.done, found.total)


@dataclass(frozen=True)
class Logged:
    """A line of a step's log."""

    step: str
    line: LogLine


@dataclass(frozen=True)
class LastLines:
    """The end of a failed step's log, which lies in a file."""

    step: str
    file: str
    lines: list[str]


@dataclass(frozen=True)
class Notice:
    """Something about the watching itself, such as a log that may not be read."""

    text: str


Event = State | Progress | Logged | LastLines | Notice
Tell = Callable[[Event], None]
Look = Callable[[], tuple[ExecutionSummary, list[StepSummary]]]
Reports = Callable[[StepSummary, Tell], None]


def wait(
    look: Look,
    tell: Tell,
    reports: Reports,
    poll_seconds: float = POLL_SECONDS,
    settle_seconds: float = SETTLE_SECONDS,
    sleep: Callable[[float], None] = pause,
) -> ExecutionSummary:
    """Watch an execution until it has ended.

    Args:
        look: the execution as it stands.
        tell: hears of the first state and of every change after it.
        reports: tells what is new of a step that runs, or ran when it was last looked at.
    """
    heard: State | None = None
    running: set[str] = set()
    ended_before: set[str] = set()
    while True:
        state = State(*patiently(look, lambda text: tell(Notice(text)), sleep))
        ended = state.execution.status in ENDED
        still = _running(state)
        # A job's last lines become visible late: it is asked again when it is seen to have ended, and once more.
        last = (running - still) | ended_before
        if ended and last:
            sleep(settle_seconds)
        _report(state, last, reports, tell)
        if state != heard:
            heard = state
            tell(state)
        _report(state, still, reports, tell)
        if ended:
            return state.execution
        ended_before, running = running - still, still
        sleep(poll_seconds)


def _report(state: State, names: set[str], reports: Reports, tell: Tell) -> None:
    for step in state.steps:
        if step.name in names:
            reports(step, tell)


def _running(state: State) -> set[str]:
    return {step.name for step in state.steps if step.status in job_logs.RUNNING}


@dataclass
class JobReports:
    """Progress and log lines of jobs on AWS. What the caller may not read is said once and then left out.

    A line of the log that tells a phase is told as progress and not as a line.
    """

    sagemaker: Any
    logs: Any
    cloudwatch: Any
    sleep: Callable[[float], None] = pause
    clock: Callable[[], float] = time.monotonic
    _tails: dict[str, Tail] = field(default_factory=dict)
    _told: dict[str, Progress] = field(default_factory=dict)
    _answers: dict[str, tuple[str, dict[str, float]]] = field(default_factory=dict)  # job -> service's phase, metrics
    _phases: dict[str, Phase] = field(default_factory=dict)  # job -> the phase that its log told last
    _values: dict[str, tuple[float, dict[str, float]]] = field(default_factory=dict)  # job -> (when asked, metrics)
    _refused: set[str] = field(default_factory=set)

    def __call__(self, step: StepSummary, tell: Tell) -> None:
        """Tell what is new of a step's job, once it has one."""
        if step.job_name is None:
            return
        if step.type == "Training":
            self._tell("metrics", lambda: self._progress(step), tell)
        self._tell("logs", lambda: self._lines(step), tell)

    def _tell(self, what: str, read: Callable[[], Sequence[Event]], tell: Tell) -> None:
        from botocore.exceptions import ClientError

        if what in self._refused:
            return
        try:
            events = patiently(read, lambda text: tell(Notice(text)), self.sleep)
        except ClientError as error:
            if not aws.is_denied(error):
                raise
            self._refused.add(what)
            events = [Notice(f"{what} are not shown: {aws.refusal(error)}")]
        for event in events:
            tell(event)

    def _progress(self, step: StepSummary) -> Sequence[Event]:
        name = str(step.job_name)
        job = job_metrics.describe(self.sagemaker, name)
        metrics = job.metrics if job.ended else job.metrics | self._last_values(name, job.declared)
        self._answers[name] = job.phase, metrics
        return self._news(step)

    def _news(self, step: StepSummary) -> Sequence[Event]:
        """How a job stands by the service and by its own log, where that has changed."""
        name = str(step.job_name)
        by_service, metrics = self._answers.get(name, ("", {}))
        own = self._phases.get(name) if by_service in WORKING else None
        event = Progress.of(step.name, own or Phase(by_service), metrics)
        if self._told.get(step.name) == event:
            return []
        self._told[step.name] = event
        return [event]

    def _last_values(self, job_name: str, declared: Sequence[str]) -> dict[str, float]:
        """What CloudWatch has of a running job; asked no more often than it has something new."""
        asked, values = self._values.get(job_name, (-math.inf, {}))
        if self.clock() - asked >= job_metrics.PERIOD_SECONDS:
            values = job_metrics.last_values(self.cloudwatch, job_name, declared)
            self._values[job_name] = self.clock(), values
        return values

    def _lines(self, step: StepSummary) -> Sequence[Event]:
        log = self._tails.get(str(step.job_name)) or job_logs.tail(self.logs, step)
        if log is None:
            return []
        self._tails[log.job_name] = log
        lines = [(line, phases.read(line.message)) for line in log.new()]
        told = [phase for _, phase in lines if phase]
        if told:
            self._phases[log.job_name] = told[-1]
        logged = [Logged(step.name, line) for line, phase in lines if phase is None]
        return [*logged, *(self._news(step) if told else [])]
