"""logs: what a step's job printed, on AWS or on this machine, so far or as it comes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import typer

from pipeline.aws import executions as aws_executions
from pipeline.aws.executions import StepSummary
from pipeline.commands.shared.on_aws import Remote, remote
from pipeline.commands.shared.options import (
    DEFAULT_SETTINGS,
    LOCAL_ROOT,
    AsJson,
    Execution,
    Local,
    LocalRoot,
    Settings,
    stderr,
)
from pipeline.errors import UserError
from pipeline.watching import job_logs
from pipeline.watching.job_logs import LogLine

StepName = Annotated[str | None, typer.Option("--step", help="Step name; default: the failed step, or the last one.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Keep printing until the step's job has ended.")]


def logs(
    execution: Execution = None,
    step: StepName = None,
    follow: Follow = False,
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """Print the log of a step's job."""
    if local:
        from pipeline.local.state import as_on_aws

        lines = as_on_aws.log_lines(local_root, as_on_aws.find(local_root, execution), step, follow=follow)
        _print(({"message": line} for line in lines), as_json)
        return
    words = "".join(
        f" {word}" for word in (execution, f"--step {step}" if step else "", "--follow" if follow else "") if word
    )
    with remote(f"logs{words}", settings) as there:
        _print(map(_document, _lines(there, there.find(execution), step, follow)), as_json)


def _lines(there: Remote, arn: str, name: str | None, follow: bool) -> Iterable[LogLine]:
    _, steps = aws_executions.status(there.sagemaker, arn)
    chosen = _chosen(steps, name)
    if not follow:
        return job_logs.read(there.client("logs"), chosen)

    def look() -> StepSummary:
        return _chosen(aws_executions.status(there.sagemaker, arn)[1], chosen.name)

    return job_logs.follow(there.client("logs"), look, lambda text: stderr.print(text, highlight=False))


def _document(line: LogLine) -> dict[str, Any]:
    return {"time": line.time.isoformat(timespec="milliseconds"), "node": line.node, "message": line.message}


def _print(lines: Iterator[dict[str, Any]], as_json: bool) -> None:
    """The lines as they come; as JSON they are one list, which is whole when the command has ended."""
    if as_json:
        before = "["
        for line in lines:
            sys.stdout.write(f"{before}\n  {json.dumps(line, ensure_ascii=False)}")
            sys.stdout.flush()
            before = ","
        sys.stdout.write("\n]\n" if before == "," else "[]\n")
        return
    for line in lines:
        head = f"{line['time']} {line['node']} " if "time" in line else ""
        print(f"{head}{line['message']}", flush=True)


def _chosen(steps: list[StepSummary], name: str | None) -> StepSummary:
    """The named step, or the one that failed, or the last one that ran a job.

    Raises:
        UserError: there is none.
    """
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
