"""Whose file it is; and of any file: every key is in the recipe or named, and the recipe loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steps.shared.contract import StepError
from steps.shared.pages.visible import visible
from steps.train import arguments
from steps.train.arguments import SUCCESSORS, TrainArguments
from steps.train.other_names import OTHER_NAMES
from steps.train.other_tools import text
from steps.train.other_tools.read import Given, read
from steps.train.other_tools.rules import Tool
from steps.train.other_tools.translate import NAMES, TOOLS, translate
from tests.paths import ROOT
from tests.steps.train.other_tools.files import translated, values, why

PATH = Path("theirs.yaml")
LEAST: dict[str, dict[str, Any]] = {
    "TRL": {"model_name_or_path": "m", "dataset_name": "d"},
    "axolotl": {"base_model": "m", "rl": "dpo"},
    "LLaMA-Factory": {"model_name_or_path": "m", "stage": "dpo"},
}
VITAL = {"model_name_or_path", "base_model", "model_id", "stage", "rl", "pref_loss", "loss_type", "dpo_loss_type"}
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates()
    | st.sampled_from(["5e-6", "auto", "steps", "no", "adamw_torch", "cosine", "all", 1, 4, 8, 0.1, 100])
)  # fmt: skip
VALUES = (
    SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=6) | st.integers(), SCALARS, max_size=3)
)


def keys_of(tool: Tool) -> st.SearchStrategy[str]:
    others = {key for other in TOOLS if other is not tool for key in other.own}
    known = {*tool.rules, *tool.families, *TrainArguments.model_fields, *OTHER_NAMES, *SUCCESSORS} - others - VITAL
    return st.sampled_from(sorted(known)) | st.text(max_size=8).filter(lambda key: key not in others | VITAL)


@pytest.mark.parametrize("name", LEAST)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_key_of_any_file_is_translated_or_named_and_the_recipe_loads(
    tmp_path: Path, name: str, data: st.DataObject
) -> None:
    tool = next(tool for tool in TOOLS if tool.name == name)
    more = data.draw(st.dictionaries(keys_of(tool), VALUES, max_size=12))
    theirs = {**LEAST[name], **more}
    found = translate(Given(theirs, {key: number for number, key in enumerate(theirs, 1)}), PATH)
    assert found.tool == name
    assert found.translated | {left.key for left in found.left if left.key is not None} == set(theirs)
    path = tmp_path / "recipe.yaml"
    path.write_text(text.recipe(found, PATH), encoding="utf-8")
    assert arguments.load(path).model_dump(mode="json", exclude_unset=True) == values(found)
    report = text.report(found, PATH)
    assert visible(report) == report


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "is empty"),
        ("a: 1\nb: 2\n", rf"is no file of {NAMES}: none of its keys is theirs alone \(a, b\)"),
        ("model_id: m\nbeta_: 1\n", "is a recipe of this project already"),
        (
            "base_model: m\nrl: dpo\npref_beta: 0.1\n",
            r"has keys of several trainers: axolotl \(base_model, rl\); LLaMA-Factory \(pref_beta\); keep those of one",
        ),
        ("dataset_name: d\n", r"names no model; add one to a copy of it \(model_name_or_path: NAME\)"),
        ("base_model:\nrl: dpo\n", r"names no model; add one to a copy of it \(base_model: NAME\)"),
        (
            "base_model: 7\nrl: dpo\n",
            r"base_model: no recipe can have it \(the base model\): Input should be a valid str",
        ),
        ("model_name_or_path: m\nloss_type: mine\n", r"loss_type: no recipe can have it \(the loss\)"),
        ("model_name_or_path: m\nloss_type: exo_pair\n", r"loss_type: no recipe can have it .* its paper recommends"),
    ],
)
def test_what_cannot_become_a_recipe_is_one_clear_error(tmp_path: Path, words: str, said: str) -> None:
    with pytest.raises(StepError, match=said):
        translated(tmp_path, words)


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_recipe_of_this_project_is_told_as_that(path: Path) -> None:
    with pytest.raises(StepError, match="is a recipe of this project already"):
        translate(read(path), path)


def test_a_file_with_transformers_own_keys_alone_is_trls(tmp_path: Path) -> None:
    assert translated(tmp_path, "model_name_or_path: m\nlearning_rate: 1e-5\n").tool == "TRL"


def test_each_trainers_own_keys_are_nobody_elses_and_it_has_a_rule_for_them() -> None:
    for tool in TOOLS:
        assert not {key for other in TOOLS if other is not tool for key in tool.own & other.own}
        assert not {key for key in tool.own if key not in tool.rules and key not in SUCCESSORS}
        assert not tool.own & set(TrainArguments.model_fields) or tool.name == "TRL"


def test_of_two_keys_that_say_otherwise_the_first_counts_and_the_second_is_named(tmp_path: Path) -> None:
    found = translated(tmp_path, "model_name_or_path: m\nbeta: 0.2\nlora_r: 4\nrank: 8\nlora_rank_: 1\n")
    assert values(found)["lora_r"] == 4
    assert why(found, "rank") == "lora_r comes from lora_r here, which says otherwise"


def test_a_default_is_not_written_for_what_the_file_says_and_no_recipe_can_have(tmp_path: Path) -> None:
    assert "optim" not in values(translated(tmp_path, "model_name_or_path: m\nbeta: 0.1\noptim: lion\n"))
