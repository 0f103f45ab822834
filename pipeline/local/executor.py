"""Runs an execution: its steps one at a time, in the order of `plan/order.py`.

A step that fails ends the execution; running the execution again goes on from there, with the steps that succeeded kept
(one whose output is not whole any more runs again) and a training resuming from its checkpoints. Ctrl-C and TERM end
the running job and leave the execution Stopped. Retry policies are accepted and never used: they retry faults of the
service, and AWS does not retry a script's error either.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.files import ROOT, last_lines, write_json
from pipeline.local.jobs import cache, earlier
from pipeline.local.jobs.checkpoints import rescue, sole_user
from pipeline.local.jobs.engine import Engine
from pipeline.local.jobs.job import Job, JobFailed, JobStopped, job_name
from pipeline.local.jobs.nodes import StopRequest, stop_on_signals
from pipeline.local.jobs.platform_variables import Aws
from pipeline.local.jobs.process_engine import unset_secrets
from pipeline.local.jobs.processing import run_processing
from pipeline.local.jobs.training import run_training
from pipeline.local.plan import conditions, limits
from pipeline.local.plan.expressions import Scope, evaluate
from pipeline.local.plan.order import build_plan
from pipeline.local.state import model_packages, records, summaries
from pipeline.local.state.records import EngineName, Execution, StepRecord
from pipeline.local.state.store import Store
from pipeline.rendered import Step
from pipeline.texts import now
from pipeline.watching.watch import Event, LastLines, Notice, Progress, State, Tell
from steps.shared import disks
from steps.shared.signs.phases import Phase

TAIL_LINES = 20  # of a failed step's log, told with its failure
_SAVE_SECONDS = 1.0  # how far a record may lag behind the metrics in the log
_JOBS = {"Processing": run_processing, "Training": run_training}


class ExecutionFailed(Exception):
    """A Fail step was reached; `str(error)` is its message."""


def create_execution(
    root: Path,
    pipeline_name: str,
    definition: dict[str, Any],
    parameters: Mapping[str, str | int | float | bool],
    display_name: str | None = None,
    engine: EngineName = "processes",
) -> Execution:
    """Write down an execution that can then be run; `parameters` come from `resolve_parameters`.

    Raises:
        UserError: the definition holds something that this machine cannot run. Nothing is written then.
    """
    steps = build_plan(definition, parameters)
    execution = Execution(
        id=records.new_id(),
        pipeline_name=pipeline_name,
        display_name=display_name,
        parameters=dict(parameters),
        engine=engine,
        created=now(),
        steps=[StepRecord(name=step.name, type=step.type) for step in steps],
    )
    records.create(root, execution, definition)
    return execution


def ignore(_event: Event) -> None:
    """A listener for callers who only want the outcome."""


def run_execution(
    root: Path, execution_id: str, tell: Tell = ignore, repository: Path = ROOT, aws: Aws | None = None
) -> Execution:
    """Run an execution to its end and return its record; of one that failed or was stopped, the rest of it.

    Failure is in the record and raises nothing.

    Args:
        tell: hears of every change, of metrics and of a failed step's last lines, from the thread that called.
        repository: the folder that holds `steps/`, where jobs run.
        aws: where the jobs' calls of AWS go; without it registry, objects, secrets and tracking are this machine's.

    Raises:
        UserError: there is no such execution, or another process is running it.
    """
    records.read(root, execution_id)
    with records.running(root, execution_id), stop_on_signals() as stop:
        execution = records.read(root, execution_id)
        if execution.status != "Succeeded":
            records.set_aside(root, execution)
            _Executor(root.resolve(), execution, tell, repository, stop, aws).run()
    return execution


class _Executor:
    """Runs what is left of one execution, and holds what its steps share meanwhile."""

    def __init__(
        self, root: Path, execution: Execution, tell: Tell, repository: Path, stop: StopRequest, aws: Aws | None
    ) -> None:
        self.root = root
        self.execution = execution
        self.tell = tell
        self.repository = repository
        self.stop = stop
        self.aws = aws
        self.store = Store(root)
        self.plan = build_plan(records.load_definition(root, execution.id), execution.parameters)
        self._saved = now()

    def run(self) -> None:
        self._begin()
        try:
            for step in self.plan:
                record = self.execution.step(step.name)
                if record.status == "Succeeded":
                    continue
                if self.stop.count:
                    break
                if not self._due(step):
                    self._change(record, "Skipped")
                elif not self._attempt(step, record):
                    break
        except OSError as error:
            self._end("Failed", disks.told(error, self.root))
            return
        except BaseException as error:
            # A bug of ours: the record must not say Executing, and the traceback must be seen.
            self._end("Failed", f"internal error: {type(error).__name__}: {error}")
            raise
        failed = next((record for record in self.execution.steps if record.status == "Failed"), None)
        if failed is not None:
            reason = failed.failure_reason or ""
            self._end("Failed", reason if failed.type == "Fail" else f"Step {failed.name} failed: {reason}")
        elif self.stop.count and not all(record.status in ("Succeeded", "Skipped") for record in self.execution.steps):
            self._end("Stopped", "stopped on request")
        else:
            self._end("Succeeded", None)

    def _begin(self) -> None:
        execution = self.execution
        execution.status, execution.failure_reason, execution.ended = "Executing", None, None
        execution.pid = os.getpid()
        execution.steps = [
            record
            if record.status == "Succeeded" and self._is_whole(record)
            else StepRecord(name=record.name, type=record.type, attempts=record.attempts)
            for record in execution.steps
        ]
        for record in execution.steps:
            self._tell_progress(record)
        self._report()

    def _is_whole(self, record: StepRecord) -> bool:
        """Whether the store still has what a step left: a later step must not go on with a part of it, unsaid."""
        there = cache.left(record.properties, self.store) if record.objects else {}
        return all(there.get(uri, {}).items() >= objects.items() for uri, objects in (record.objects or {}).items())

    def _end(self, status: records.ExecutionStatus, reason: str | None) -> None:
        self.execution.status, self.execution.failure_reason, self.execution.ended = status, reason, now()
        for record in self.execution.steps:
            if record.status in ("Starting", "Executing"):
                record.status, record.failure_reason, record.ended = "Failed", reason, now()
        self._report()

    def _report(self) -> None:
        self._save()
        self._tell_state()

    def _tell_state(self) -> None:
        self.tell(State(summaries.summary(self.execution), summaries.steps(self.execution)))

    def _save(self) -> None:
        records.save(self.root, self.execution)
        self._saved = now()

    def _tell_progress(self, record: StepRecord) -> None:
        if record.metrics or record.doing:
            self.tell(Progress.of(record.name, record.doing, record.metrics))

    def _change(self, record: StepRecord, status: records.StepStatus) -> None:
        record.status = status
        self._report()
        if status == "Failed" and record.log and (lines := lines_before(record.failure_reason or "", Path(record.log))):
            self.tell(LastLines(record.name, record.log, lines))

    def _due(self, step: Step) -> bool:
        """Whether its branch was taken and all that it needs has succeeded."""
        if any(self.execution.step(name).status != "Succeeded" for name in step.needs):
            return False
        if step.branch is None:
            return True
        taken = self.execution.step(step.branch.condition).properties["Outcome"]
        return taken == str(step.branch.outcome)

    def _scope(self) -> Scope:
        execution = self.execution
        variables = {
            "PipelineExecutionId": execution.id,
            "PipelineExecutionArn": execution.arn,
            "PipelineName": execution.pipeline_name,
            "PipelineArn": execution.pipeline_arn,
            "StartDateTime": execution.created.isoformat(timespec="seconds"),
            "CurrentDateTime": now().isoformat(timespec="seconds"),
        }
        done = {record.name: record.properties for record in execution.steps if record.status == "Succeeded"}
        files = {step.name: step.property_files for step in self.plan}
        return Scope(execution.parameters, variables, self.store, done, files)

    def _attempt(self, step: Step, record: StepRecord) -> bool:
        """Run one step; whether the execution goes on."""
        record.started = now()
        record.attempts += 1
        record.status = "Starting"
        self._tell_state()  # a job is written down before it begins; what takes no job has ended by then
        status: records.StepStatus = "Succeeded"
        try:
            record.properties = self._result(step, record)
        except JobStopped:
            status = "Stopped"
        except (JobFailed, ExecutionFailed, UserError) as error:
            status, record.failure_reason = "Failed", str(error)
        except OSError as error:  # a full disk, a folder that may not be written: the machine's fault and not a bug
            status, record.failure_reason = "Failed", disks.told(error, self.root)
        record.ended, record.doing = now(), None
        self._change(record, status)
        return status == "Succeeded"

    def _result(self, step: Step, record: StepRecord) -> dict[str, Any]:
        scope = self._scope()
        if step.type == "Condition":
            parts = step.arguments["Conditions"]
            return {"Outcome": str(all(conditions.holds(part, scope, step.name) for part in parts))}
        arguments = evaluate(step.arguments, scope, step.name)
        limits.require(step, arguments)
        if step.type == "Fail":
            raise ExecutionFailed(arguments.get("ErrorMessage") or f"the Fail step {step.name} was reached")
        if step.type == "RegisterModel":
            return self._register(step, arguments)
        return self._cached_or_run(step, record, arguments)

    def _register(self, step: Step, arguments: dict[str, Any]) -> dict[str, Any]:
        package = model_packages.register(self.root, arguments, by=f"{self.execution.id}/{step.name}")
        if other := model_packages.registered_by_another(package, self.execution.arn):
            same = f"the same as version {package['ModelPackageVersion']}, which {other} has registered"
            self.tell(Notice(f"{step.name}: {same}; no other is made"))
        return package

    def _cached_or_run(self, step: Step, record: StepRecord, arguments: dict[str, Any]) -> dict[str, Any]:
        if not cache.enabled(step):
            return self._run_job(step, record, arguments)
        key = cache.cache_key(self.execution, step, arguments, self.repository)
        entry = cache.find(self.root, key, step, self.store)
        if entry is not None:
            record.cached, record.log, record.metrics, record.objects = True, entry.log, entry.metrics, entry.objects
            self._tell_progress(record)
            return entry.properties
        properties = self._run_job(step, record, arguments)
        entry = cache.Entry(
            execution_id=self.execution.id,
            succeeded=now(),
            log=record.log,
            metrics=record.metrics,
            properties=properties,
            objects=record.objects or {},
        )
        cache.remember(self.root, key, entry)
        return properties

    def _run_job(self, step: Step, record: StepRecord, arguments: dict[str, Any]) -> dict[str, Any]:
        def report(values: Mapping[str, float]) -> None:
            record.metrics.update(values)
            told()

        def does(phase: Phase) -> None:
            record.doing = phase
            told()

        def told() -> None:
            self._tell_progress(record)
            if (now() - self._saved).total_seconds() > _SAVE_SECONDS:
                self._saved = now()
                with contextlib.suppress(OSError):  # a full disk: what comes last in the record tells it
                    records.save(self.root, self.execution, last=False)

        def stopping() -> None:
            self.execution.status = "Stopping"
            self._report()

        job = Job(
            name=job_name(self.execution.id, step.name),
            folder=records.job_folder(self.root, self.execution.id, step.name),
            store=self.store,
            registry=model_packages.home(self.root),
            mlflow=records.mlflow_uri(self.root),
            repository=self.repository,
            engine=engine(self.execution.engine),
            aws=self.aws,
            stop=self.stop,
            on_start=lambda: self._change(record, "Executing"),
            on_stop=stopping,
            on_metrics=report,
            on_phase=does,
        )
        job.folder.mkdir(parents=True, exist_ok=True)
        job.log.touch()
        record.log = str(job.log)
        self._save()  # from here on `logs` finds it: the job may wait for long

        def waits(why: str) -> None:
            with open(job.log, "a", encoding="utf-8") as log:
                log.write(f"{why}\n")
            self.tell(Notice(f"{step.name}: {why}"))

        earlier.wait(job.folder, lambda: self.stop.count > 0, tell=waits)
        with sole_user(job, arguments.get("CheckpointConfig"), waits):
            rescue(job.store, arguments.get("CheckpointConfig"), job.trees)
            job.clear()
            write_json(job.folder / "request.json", arguments)
            self._begin_log(job, record.attempts, arguments)
            properties = _JOBS[step.type](job, arguments)
        record.objects = cache.left(properties, self.store)
        job.clear()
        return properties

    def _begin_log(self, job: Job, attempt: int, arguments: Mapping[str, Any]) -> None:
        with open(job.log, "a", encoding="utf-8") as log:
            if attempt > 1:
                log.write(f"=== attempt {attempt}, {now().isoformat(timespec='seconds')} ===\n")
            for name in [] if self.aws else unset_secrets(arguments.get("Environment", {})):
                log.write(f"{name} is not set in this shell: the job runs without it\n")


def engine(name: EngineName) -> Engine:
    """The engine of that name."""
    if name == "docker":
        from pipeline.local.jobs.docker_engine import DockerEngine

        return DockerEngine()
    from pipeline.local.jobs.process_engine import ProcessEngine

    return ProcessEngine()


def lines_before(reason: str, log: Path) -> list[str]:
    """The last lines of a failed step's log, without the error of its own that is its reason, and told as that."""
    lines = last_lines(log, TAIL_LINES)
    own = f"error: {reason}".splitlines()
    return lines[: -len(own)] if lines[-len(own) :] == own else lines
