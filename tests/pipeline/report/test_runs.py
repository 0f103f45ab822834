"""The page of all executions."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from pipeline.report import runs
from tests.document import Document, require_targets, require_whole
from tests.pipeline.report import made
from tests.steps.preprocess.reports import EVIL


def run(number: int = 1, status: str = "Succeeded", gate=None, version=None, **changes) -> runs.Run:
    objects = {f"{made.RUN}/Gate/decision/gate.json": json.dumps(gate).encode()} if gate is not None else {}
    steps = [made.step("Train"), made.step("Gate")]
    if version:
        steps.append(made.step("RegisterAdapter", output=made.PACKAGE))
    if status == "Failed":
        steps = [made.step("Train", "Failed")]
    source = made.Source(objects, versions={made.PACKAGE: version} if version else {})
    summary = made.summary(status, **({"started": made.NOON + timedelta(days=number)} | changes))
    return runs.gather(source, summary, steps)


def test_accuracies_stand_in_the_order_of_time_with_their_intervals_and_versions() -> None:
    champion = made.version(version=1, approval_status="Approved", champion=True)
    found = [run(2, gate=made.gate("fail")), run(1, gate=made.gate(), version=champion)]
    html = runs.render(found)
    require_whole(html)
    require_targets(html)
    text = Document(html).text
    assert "2 executions of dpo" in text and "Approved, champion" in text and "v1" in text
    assert "96.6%" in text and "88." in text  # Wilson's interval of 58 of 60
    assert html.index("v1</text>") > 0 and text.index("01-03") < text.index("01-04")


def test_within_one_day_the_axis_tells_the_time() -> None:
    at_noon = run(1, gate=made.gate())
    later = run(1, gate=made.gate(), started=at_noon.execution.started + timedelta(hours=2))
    drawn = Document(runs.render([later, at_noon])).text
    assert "14:00" in drawn.split("Execution Started")[0] and "01-03" not in drawn.split("Execution Started")[0]


def test_failed_and_running_ones_are_listed_without_figures() -> None:
    html = runs.render([run(1, "Executing"), run(2, "Failed")])
    assert "Failed in Train" in html and "<circle" not in html and 'http-equiv="refresh"' in html


def test_a_part_for_each_pipeline() -> None:
    other = run(1, gate=made.gate())
    html = runs.render([other, runs.Run(made.summary(), problem="its record is damaged")], ["Older ones are left out."])
    assert "its record is damaged" in html and "Older ones are left out." in html


@pytest.mark.parametrize("gate", [{}, {"reward_accuracy": "x"}, {"reward_accuracy": 0.5, "rows": None}])
def test_a_gate_of_another_version_is_named(gate) -> None:
    assert "gate.json is of another version" in run(gate=gate).problem


def test_nothing_yet_is_a_page_too() -> None:
    html = runs.render([])
    require_whole(html)
    require_targets(html)
    assert "There are no executions yet." in html


def test_the_command_for_one_of_them_means_the_same_place() -> None:
    html = runs.render([run()], options=" --local --local-root x")
    assert "pipeline.py report --local --local-root x EXECUTION" in html


def test_hostile_names_are_escaped() -> None:
    html = runs.render([run(gate=made.gate(), name=EVIL, version=made.version(group=EVIL))])
    require_whole(html)
    assert "<script" not in html
