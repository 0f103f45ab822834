"""This machine as a place of executions. Imports for a look at a record what that takes, and no more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.aws import executions
from pipeline.aws.executions import ExecutionSummary, StepSummary
from pipeline.commands.shared.after_failure import next_commands, nothing_to_retry
from pipeline.commands.shared.options import left_out, page_of, print_json, say, stderr
from pipeline.errors import UserError
from pipeline.local.state import records, step_logs, summaries
from pipeline.local.state.records import Execution

if TYPE_CHECKING:
    from pipeline.parameters.history import ParameterUse
    from pipeline.watching.watch import Progress, Tell


@dataclass(frozen=True)
class PlaceHere:
    """The executions under a local root."""

    root: Path
    settings: Path
    options: str

    def newest(self) -> list[ExecutionSummary]:
        return [summaries.summary(record) for record in records.load_all(self.root, left_out)]

    def find(self, execution: str | None) -> str:
        if execution is None and records.newest_id(self.root) is None:
            raise UserError(f"{self.root}: no executions yet; start one: python pipeline.py start{self.options}")
        return (records.load(self.root, execution) if execution else records.newest(self.root)).id

    def status(self, execution: str) -> tuple[ExecutionSummary, list[StepSummary]]:
        record = records.load(self.root, execution)
        return summaries.summary(record), summaries.reached(record)

    def unreached(self, execution: ExecutionSummary, reached: Sequence[StepSummary]) -> list[StepSummary]:
        return summaries.unreached(records.load(self.root, execution.id))

    def watch(self, execution: str) -> ExecutionSummary:
        """Another process runs it."""
        from pipeline.watching import view
        from pipeline.watching import watch as watching

        told: dict[str, Progress] = {}

        def look() -> tuple[ExecutionSummary, list[StepSummary]]:
            record = records.load(self.root, execution)
            return summaries.summary(record), summaries.steps(record)

        def report(step: StepSummary, tell: Tell) -> None:
            found = records.load(self.root, execution).step(step.name)
            progress = watching.Progress.of(step.name, found.doing, found.metrics)
            if (found.doing or found.metrics) and told.get(step.name) != progress:
                told[step.name] = progress
                tell(progress)

        with view.shown(stderr) as tell:
            return watching.wait(look, tell, report, poll_seconds=step_logs.POLL_SECONDS, settle_seconds=0)

    def stop(self, execution: str) -> None:
        records.stop(self.root, execution)

    def retry(self, execution: str, as_json: bool) -> int:
        if records.load(self.root, execution).status == "Succeeded":
            say(nothing_to_retry(execution, self.options))
        return executions.exit_code(self.run(execution, as_json).status)

    def run(self, execution: str, as_json: bool) -> Execution:
        """Run an execution to its end, from where it stands, and print what came of it."""
        from pipeline.local import linked, summary
        from pipeline.local.executor import run_execution
        from pipeline.watching import pulse, view

        with view.shown(stderr) as tell:
            ended = run_execution(self.root, execution, tell)
        with pulse.working(stderr, "telling MLflow of the version"):
            told = linked.of_execution(self.root, ended, self.options)
        result = summary.summarise(self.root, ended) | {"report": page_of(execution, self.options)}
        if as_json:
            print_json(result)
        else:
            print(summary.text(result))
            for line in next_commands(summaries.summary(ended), summaries.reached(ended), self.options):
                say(line)
        for line in told:
            say(line)
        return ended

    def log(self, execution: str, step: str | None, follow: bool) -> Iterator[dict[str, str]]:
        return ({"message": line} for line in step_logs.lines(self.root, execution, step, follow=follow))

    def parameters(self, execution: str) -> list[ParameterUse]:
        """Today's defaults are the settings', which a start here takes."""
        from pipeline.parameters import declared, history
        from pipeline.parameters.values import as_text
        from pipeline.settings import workflow as workflow_settings

        given = {name: as_text(value) for name, value in records.load(self.root, execution).parameters.items()}
        today = {entry.name: entry.default for entry in declared.parameters(workflow_settings.load(self.settings))}
        return history.uses(records.load_definition(self.root, execution), given, today)
