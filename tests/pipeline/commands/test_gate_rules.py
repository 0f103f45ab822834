"""The rules that `check` shows before a run."""

from __future__ import annotations

import pytest

from pipeline.commands.shared import gate_rules
from pipeline.settings import workflow as settings
from pipeline.settings.schema import Gate
from steps.train.arguments import TrainArguments


@pytest.fixture(scope="module")
def recipe() -> TrainArguments:
    return settings.load(settings.DEFAULT_SETTINGS).recipe


def test_every_rule_of_the_settings_is_shown_with_its_limit(recipe: TrainArguments) -> None:
    shown = gate_rules.of(Gate(), recipe)
    assert [*shown] == ["rows", "accuracy", "champion", "served_drift", "calls", "calls_champion", "degenerate"]
    strict = Gate(max_chosen_drop=0.5, max_served_drift=None, max_degenerate_share=0.05, judge="eu.the.judge-v1:0")
    told = gate_rules.of(strict, recipe)
    assert "served_drift" not in told
    assert told["chosen_drop"] == "chosen answers that lose at most 0.5 nats a token"
    assert told["degenerate"] == "at most 0.05 of the answers degenerate"
    assert "eu.the.judge-v1:0" in told["judge"]


def test_a_workflow_that_collects_has_the_rule_on_feedback(recipe: TrainArguments) -> None:
    told = gate_rules.of(Gate(max_reversed_share=0.1), recipe, collects=True)
    assert told["reversed"] == "at most 0.1 of feedback's pairs the reverse of the given data's"
    assert "reversed" not in gate_rules.of(Gate(max_reversed_share=None), recipe, collects=True)


def test_what_the_recipe_leaves_unmeasured_is_said(recipe: TrainArguments) -> None:
    silent = recipe.model_copy(update={"evaluate_answers": 0, "evaluate_served": "false"})
    told = gate_rules.of(Gate(judge="j"), silent)
    unjudged = {name: said.partition("; not judged: the recipe says ")[2] for name, said in told.items()}
    assert {name: said for name, said in unjudged.items() if said} == {
        "served_drift": "evaluate_served: false",
        **dict.fromkeys(("calls", "calls_champion", "degenerate", "judge"), "evaluate_answers: 0"),
    }
    whole = gate_rules.of(Gate(), silent.model_copy(update={"load_in_4bit": False}))
    assert "not judged" not in whole["served_drift"]  # what trains is what is served
    unread = gate_rules.of(Gate(), recipe.model_copy(update={"tool_call_parser": "none"}))
    assert [name for name, said in unread.items() if said.endswith("the recipe says tool_call_parser: none")] == [
        "calls", "calls_champion",
    ]  # fmt: skip
