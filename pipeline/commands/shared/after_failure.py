"""The commands that come next where an execution did not succeed."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.aws.executions import StepSummary

OF_THE_DATA = "Preprocess"
VERDICT = "RejectModel"  # the Fail step that a model ends in which the gate did not pass


def next_commands(execution: str, steps: Sequence[StepSummary], options: str) -> list[str]:
    """A line each. `retry` goes on with the copies of data and settings that the execution has, so it is named only
    where the cause may lie outside of them.

    Args:
        steps: those that were reached.
        options: what a command needs to mean the same place, with a space before.
    """
    failed = {step.name for step in steps if step.status == "Failed"}
    see = f"See why: python pipeline.py logs{options} {execution}"
    if VERDICT in failed:
        see = f"See the gate's rules: python pipeline.py logs{options} {execution} --step Gate"
        return [see, f"Change data, recipe or limits, then: python pipeline.py start{options}"]
    if OF_THE_DATA in failed:
        again = f"Fix the data, then: python pipeline.py start{options} --set InputDataUri=DATA"
        return [see, again, "(`retry` would read the copy of the data that this execution has)"]
    return [see, f"Fix it and go on: python pipeline.py retry{options} {execution}"]
