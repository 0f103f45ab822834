"""Which commands are offered after an execution that did not succeed."""

from __future__ import annotations

import json

import pytest

from pipeline.aws.executions import StepSummary
from pipeline.commands.shared.after_failure import OF_THE_DATA, VERDICT, next_commands
from pipeline.definition.render import render
from pipeline.rendered import read
from pipeline.settings import workflow as settings
from tests.paths import ROOT


@pytest.mark.parametrize(
    ("failed", "offered", "not_offered"),
    [
        ("Train", "retry --local abc", "start"),
        (OF_THE_DATA, "start --local --set InputDataUri=DATA", "retry --local"),
        (VERDICT, "start --local", "retry"),
    ],
)
def test_a_retry_is_offered_only_where_it_can_help(failed: str, offered: str, not_offered: str) -> None:
    steps = [StepSummary("Champion", "Processing", "Succeeded"), StepSummary(failed, "Processing", "Failed")]
    lines = next_commands("abc", steps, " --local")
    assert lines[0].startswith("See") and "logs --local abc" in lines[0]
    assert f"python pipeline.py {offered}" in lines[1]
    assert not any(f"python pipeline.py {not_offered}" in line for line in lines)


def test_the_steps_that_are_told_apart_are_steps_of_the_pipeline() -> None:
    definition = json.loads(render(settings.load(ROOT / "configs" / "quickstart.yaml")))
    assert {OF_THE_DATA, VERDICT, "Gate"} <= {step.name for step in read(definition).all_steps}
