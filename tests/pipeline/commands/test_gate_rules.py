"""The rules that `check` shows before a run."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.commands.shared import gate_rules
from pipeline.settings import workflow as settings
from pipeline.settings.collect import Collect
from pipeline.settings.schema import Gate, WorkflowFile
from steps.shared import typed_yaml
from steps.train.arguments import TrainArguments


@pytest.fixture(scope="module")
def recipe() -> TrainArguments:
    return settings.load(settings.DEFAULT_SETTINGS).recipe


def shown_of(
    recipe: TrainArguments, *, collect: bool = False, canary: str | None = None, **gate: Any
) -> dict[str, str]:
    whole = typed_yaml.load(settings.DEFAULT_SETTINGS, WorkflowFile)
    changes: dict[str, Any] = {"gate": Gate(**gate), "collect": Collect() if collect else None}
    changes["preprocess"] = whole.preprocess.model_copy(update={"canary": canary})
    return gate_rules.of(whole.model_copy(update=changes), recipe)


def test_every_rule_of_the_settings_is_shown_with_its_limit(recipe: TrainArguments) -> None:
    shown = shown_of(recipe)
    assert [*shown] == ["rows", "accuracy", "champion", "served_drift", "calls", "calls_champion", "degenerate"]
    strict = {"max_chosen_drop": 0.5, "max_served_drift": None, "max_degenerate_share": 0.05}
    told = shown_of(recipe, judge="eu.the.judge-v1:0", **strict)
    assert "served_drift" not in told
    assert told["chosen_drop"] == "chosen answers that lose at most 0.5 nats a token"
    assert told["degenerate"] == "at most 0.05 of the answers degenerate"
    assert "eu.the.judge-v1:0" in told["judge"]


def test_a_workflow_that_collects_has_the_rule_on_feedback(recipe: TrainArguments) -> None:
    told = shown_of(recipe, collect=True, max_reversed_share=0.1)
    assert told["reversed"] == "at most 0.1 of feedback's pairs the reverse of the given data's"
    assert "reversed" not in shown_of(recipe, collect=True, max_reversed_share=None)


def test_a_workflow_with_a_canary_set_has_its_rules(recipe: TrainArguments) -> None:
    told = shown_of(recipe, canary="canary.jsonl", canary_threshold=0.7)
    assert told["canary"] == "reward accuracy of at least 0.7 on the canary set"
    assert told["canary_champion"] == "that at most 0.02 below the champion's"


def test_what_the_recipe_leaves_unmeasured_is_said(recipe: TrainArguments) -> None:
    silent = recipe.model_copy(update={"evaluate_answers": 0, "evaluate_served": "false"})
    told = shown_of(silent, judge="j")
    unjudged = {name: said.partition("; not judged: the recipe says ")[2] for name, said in told.items()}
    assert {name: said for name, said in unjudged.items() if said} == {
        "served_drift": "evaluate_served: false",
        **dict.fromkeys(("calls", "calls_champion", "degenerate", "judge"), "evaluate_answers: 0"),
    }
    whole = shown_of(silent.model_copy(update={"load_in_4bit": False}))
    assert "not judged" not in whole["served_drift"]  # what trains is what is served
    unread = shown_of(recipe.model_copy(update={"tool_call_parser": "none"}))
    assert [name for name, said in unread.items() if said.endswith("the recipe says tool_call_parser: none")] == [
        "calls", "calls_champion",
    ]  # fmt: skip
