"""AWS as a place of executions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.aws import errors as aws
from pipeline.aws import executions
from pipeline.aws.executions import ExecutionSummary, StepSummary
from pipeline.commands.shared.after_failure import nothing_to_retry
from pipeline.commands.shared.on_aws import Remote
from pipeline.commands.shared.options import print_json, say, stderr
from pipeline.errors import UserError
from pipeline.parameters import history
from pipeline.parameters.history import ParameterUse
from pipeline.rendered import read
from pipeline.watching import job_logs, view
from pipeline.watching import watch as watching
from pipeline.watching.job_logs import LogLine


@dataclass(frozen=True)
class PlaceOnAws:
    """The executions of the workflow's pipeline in its account, each named by its ARN."""

    there: Remote

    @property
    def options(self) -> str:
        return self.there.options

    def newest(self) -> list[ExecutionSummary]:
        return executions.list_executions(self.there.sagemaker, self.there.name)

    def find(self, execution: str | None) -> str:
        return executions.find(self.there.sagemaker, self.there.name, execution, self.options)

    def status(self, execution: str) -> tuple[ExecutionSummary, list[StepSummary]]:
        return executions.status(self.there.sagemaker, execution)

    def unreached(self, execution: ExecutionSummary, reached: Sequence[StepSummary]) -> list[StepSummary]:
        """AWS does not say which: those of the definition that its list of steps lacks. A step that is not reached yet
        and one of a branch not taken look alike until the execution has succeeded."""
        names = {step.name for step in reached}
        status = "Skipped" if execution.status == "Succeeded" else "Pending"
        found = read(executions.definition(self.there.sagemaker, execution.arn)).all_steps
        return [StepSummary(step.name, step.type, status) for step in found if step.name not in names]

    def watch(self, execution: str) -> ExecutionSummary:
        """Whoever interrupts is told that it goes on.

        Raises:
            UserError: AWS refuses to be asked on; the message ends with the command that watches on.
        """
        execution_id = executions.id_of(execution)
        again = f"python pipeline.py status{self.options} {execution_id} --wait"
        there = self.there
        reports = watching.JobReports(there.sagemaker, there.client("logs"), there.client("cloudwatch"))
        try:
            with aws.translated(again), view.shown(stderr) as tell:
                return watching.wait(lambda: self.status(execution), tell, reports)
        except KeyboardInterrupt:
            say(f"execution {execution_id} goes on without being watched; watch it again: {again}")
            say(f"stop it: python pipeline.py stop{self.options} {execution_id}")
            raise

    def stop(self, execution: str) -> None:
        executions.stop(self.there.sagemaker, execution)

    def retry(self, execution: str, as_json: bool) -> int:
        """AWS goes on by itself; nobody waits for it here. One that succeeded is left alone: AWS would refuse it."""
        found = executions.id_of(execution)
        succeeded = executions.state(self.there.sagemaker, execution) == "Succeeded"
        if not succeeded:
            executions.retry(self.there.sagemaker, execution)
        if as_json:
            print_json({"execution": found, "status": "Succeeded" if succeeded else "Executing"})
        elif succeeded:
            say(nothing_to_retry(found, self.options))
        else:
            print(f"execution {found} goes on; watch it: python pipeline.py status{self.options} {found} --wait")
        return 0

    def log(self, execution: str, step: str | None, follow: bool) -> Iterator[dict[str, str]]:
        return map(_document, self._lines(execution, step, follow))

    def _lines(self, execution: str, name: str | None, follow: bool) -> Iterable[LogLine]:
        chosen = _chosen(self.status(execution)[1], name)
        if not follow:
            return job_logs.read(self.there.client("logs"), chosen)
        return job_logs.follow(self.there.client("logs"), lambda: _chosen(self.status(execution)[1], chosen.name), say)

    def parameters(self, execution: str) -> list[ParameterUse]:
        """Today's defaults are those of what is deployed, which a start on AWS takes."""
        given, definition = executions.parameters(self.there.sagemaker, execution)
        deployed = self.there.sagemaker.describe_pipeline(PipelineName=self.there.name)
        return history.uses(definition, given, history.defaults(json.loads(deployed["PipelineDefinition"])))


def _chosen(steps: Iterable[StepSummary], name: str | None) -> StepSummary:
    """The named step, or the one that failed, or the last one that ran a job.

    Raises:
        UserError: there is none.
    """
    steps = list(steps)
    if name is not None:
        for step in steps:
            if step.name == name:
                return step
        reached = ", ".join(step.name for step in steps) or "none yet"
        raise UserError(f"--step {name}: not among the steps reached: {reached}")
    jobs = [step for step in steps if step.job_name]
    failed = [step for step in jobs if step.status == "Failed"]
    if not jobs:
        raise UserError("no step has run a job yet; try again in a minute")
    return (failed or jobs)[-1]


def _document(line: LogLine) -> dict[str, str]:
    return {"time": line.time.isoformat(timespec="milliseconds"), "node": line.node, "message": line.message}
