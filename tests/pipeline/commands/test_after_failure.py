"""Which commands are offered after an execution that did not succeed."""

from __future__ import annotations

import json

import pytest

from pipeline.aws.executions import ExecutionSummary, StepSummary
from pipeline.commands.shared.after_failure import OF_THE_DATA, VERDICT, next_commands
from pipeline.definition.render import render
from pipeline.rendered import read
from pipeline.settings import workflow as settings
from tests.paths import ROOT

OF_DATA = ("d.csv: line 3: no column prompt", "AlgorithmError: d.csv: line 3: no column prompt, exit code: 1")
OF_OTHERS = (
    "",
    "ResourceLimitExceeded: the account-level service limit is 0 Instances",
    "ClientError: Failed to download data. AccessDenied",
    "CapacityError: Unable to provision requested ML compute capacity",
    "InternalServerError: We encountered an internal error",
    "AlgorithmError: See job logs for more information",
    "AlgorithmError: the memory (RAM) does not suffice (x), exit code: 1",
    "the disk / is full; make room there",
    "ended by SIGKILL (out of memory?)",
    "exit code 1: x",
    "KeyError: 'x'",
    "it ran longer than its MaxRuntimeInSeconds (60) and was ended",
)


@pytest.mark.parametrize(
    ("failed", "reason", "offered", "not_offered"),
    [
        ("Train", "the disk / is full; make room there", "retry --local abc", "start"),
        (VERDICT, "the gate", "start --local", "retry"),
        *((OF_THE_DATA, reason, "start --local --set InputDataUri=DATA", "retry --local") for reason in OF_DATA),
        *((OF_THE_DATA, reason, "retry --local abc", "start") for reason in OF_OTHERS),
        (
            OF_THE_DATA,
            "3 rows. Add rows, or lower --min-validation-rows.",
            "start --local --set MinValidationRows=ROWS",
            "retry",
        ),
    ],
)
def test_a_retry_is_offered_only_where_it_can_help(failed: str, reason: str, offered: str, not_offered: str) -> None:
    steps = [
        StepSummary("Champion", "Processing", "Succeeded"),
        StepSummary(failed, "Processing", "Failed", failure_reason=reason),
    ]
    lines = next_commands(ExecutionSummary("abc", "arn", "pipe", "Failed"), steps, " --local")
    assert lines[0].startswith("See") and "logs --local abc" in lines[0]
    assert f"python pipeline.py {offered}" in lines[1]
    assert not any(f"python pipeline.py {not_offered}" in line for line in lines)


def test_an_error_of_the_training_itself_has_two_ways_on() -> None:
    steps = [StepSummary("Train", "Training", "Failed", failure_reason="loss is not finite")]
    _, fix, changed = next_commands(ExecutionSummary("abc", "arn", "pipe", "Failed"), steps, " --local")
    assert fix == "Fix it and go on: python pipeline.py retry --local abc"
    assert changed == "(after a change of recipe, model or parameters: python pipeline.py start --local)"


@pytest.mark.parametrize(
    ("status", "lines"),
    [
        ("Stopped", ["Go on with it: python pipeline.py retry --local abc"]),
        ("Succeeded", []),
        ("Executing", []),
    ],
)
def test_what_did_not_fail_has_no_cause_to_look_for(status: str, lines: list[str]) -> None:
    assert next_commands(ExecutionSummary("abc", "arn", "pipe", status), [], " --local") == lines


def test_the_steps_that_are_told_apart_are_steps_of_the_pipeline() -> None:
    definition = json.loads(render(settings.load(ROOT / "configs" / "quickstart.yaml")))
    assert {OF_THE_DATA, VERDICT, "Gate"} <= {step.name for step in read(definition).all_steps}
