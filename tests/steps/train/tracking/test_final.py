"""What trackers get of a training's end: figures by name, and the answers as a table."""

from __future__ import annotations

from typing import Any

from steps.train.tracking import final
from tests import judged
from tests.steps.train import runs


def told(evaluation: dict[str, Any]) -> dict[str, Any]:
    return {name: value for group in final.figures(evaluation) for name, value in group.items()}


def test_an_older_evaluation_and_one_that_was_not_judged_have_the_trained_forms_figures_alone() -> None:
    for make in (runs.run, runs.not_judged_run):
        assert {name.split("/")[1] for name in told(make()["evaluation"])} == {"before", "after"}


def test_the_served_form_and_the_answers_are_figures_by_name() -> None:
    evaluation = runs.judged_run()["evaluation"]
    found, said = told(evaluation), evaluation["answers"]
    assert found["final/served_after/reward_accuracy"] == evaluation["served"]["after"]["reward_accuracy"]
    assert found["final/served_drift/rows_changed"] == 2
    assert found["final/answers_after/calls_right"] == said["after"]["calls"]["share"] == 0.875
    assert found["final/answers_before/degenerate"] == 0.5 and found["final/answers_champion/calls_name"] == 1
    assert found["final/answers_against_champion/calls_wins"] == 9 and found["final/answers/rows"] == 36


def test_the_same_form_is_told_once_and_what_was_not_judged_is_left_out() -> None:
    evaluation = runs.judged_run(champion=False)["evaluation"]
    evaluation["served"] |= {"same": True}
    for side in ("before", "after"):
        evaluation["answers"][side]["calls"] = None
    evaluation["answers"]["against_base"]["calls"] = None
    found = told(evaluation)
    assert not [name for name in found if "served" in name or "calls" in name or "champion" in name]
    assert found["final/answers_after/unfinished"] == 3


def test_the_table_has_a_line_a_question_and_text_in_every_cell() -> None:
    rows = judged.rows(12)
    table = final.table(rows)
    assert [line[0] for line in table["data"]] == [row["id"] for row in rows]
    lines = [dict(zip(table["columns"], line, strict=True)) for line in table["data"]]
    (wrong,) = [line for line in lines if line["candidate_right"] == "no"]
    assert (wrong["candidate_wrong"], wrong["tools"], wrong["expected"]) == ("arguments", "weather", "call")
    assert "Monday" in wrong["candidate"] and "Friday" in wrong["chosen"] and wrong["champion_right"] == "no"
    assert lines[0]["candidate_faults"] == "unfinished, repetitive" and lines[0]["candidate_right"] is None
    assert all(cell is None or isinstance(cell, str) for line in table["data"] for cell in line)
    assert "champion" not in final.table(judged.rows(3, champion=False))["columns"]
