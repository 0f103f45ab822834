"""The commands that come next where an execution did not succeed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.aws.executions import ExecutionSummary, StepSummary

OF_THE_DATA = "Preprocess"
LIMIT = "MinValidationRows"
TOO_FEW = re.compile(rf"{LIMIT}|--min-validation-rows")  # either is named by Preprocess's error about too few rows
# Reasons that are none of the data: AWS's own kinds (ClientError, CapacityError, ResourceLimitExceeded) and Python's
# errors, a full disk, want of memory, a time limit, a process that was killed or said nothing. AWS puts
# "AlgorithmError: " before the step's words; a local run has them alone.
ELSEWHERE = re.compile(
    r"(?!AlgorithmError)\w+(Error|Exception|Exceeded)\b|(AlgorithmError: )?exit code|.*(\bdisk\b|[Nn]o space left"
    r"|\bmemory\b|ended by SIG|[Rr]ead-only|[Pp]ermission|[Aa]ccess ?[Dd]enied|not authorized|MaxRuntimeInSeconds"
    r"|job logs)",
    re.DOTALL,
)
VERDICT = "RejectModel"  # the Fail step that a model ends in which the gate did not pass


def next_commands(ended: ExecutionSummary, steps: Sequence[StepSummary], options: str) -> list[str]:
    """A line each; none of an execution that succeeded or still runs. `retry` goes on with the copies of data and
    settings that the execution has, so it is named only where the cause may lie outside of them.

    Args:
        steps: those that were reached.
        options: what a command needs to mean the same place, with a space before.
    """
    execution = ended.id
    if ended.status == "Stopped":
        return [f"Go on with it: python pipeline.py retry{options} {execution}"]
    if ended.status != "Failed":
        return []
    failed = {step.name: step.failure_reason or "" for step in steps if step.status == "Failed"}
    see = f"See why: python pipeline.py logs{options} {execution}"
    if VERDICT in failed:
        see = f"See the gate's rules: python pipeline.py logs{options} {execution} --step Gate"
        return [see, f"Change data, recipe or limits, then: python pipeline.py start{options}"]
    reason = failed.get(OF_THE_DATA, "")
    if TOO_FEW.search(reason):
        again = f"Give more rows, or set a lower limit: python pipeline.py start{options} --set {LIMIT}=ROWS"
        return [see, again, "(`retry` would go on with the same limit)"]
    if reason and not ELSEWHERE.match(reason):
        again = f"Fix the data, then: python pipeline.py start{options} --set InputDataUri=DATA"
        return [
            see,
            again,
            "(`retry` would read the same again: the copy made at the start, or what your S3 URI holds now)",
        ]
    go_on = [see, f"Fix it and go on: python pipeline.py retry{options} {execution}"]
    if any(said and not ELSEWHERE.match(said) for step, said in failed.items() if step != OF_THE_DATA):
        go_on.append(f"(after a change of recipe, model or parameters: python pipeline.py start{options})")
    return go_on


def nothing_to_retry(execution: str, options: str) -> str:
    """What a `retry` of an execution that succeeded says."""
    again = f"python pipeline.py start{options}"
    return f"execution {execution} succeeded, and there is nothing to do; to run it all again: {again}"
