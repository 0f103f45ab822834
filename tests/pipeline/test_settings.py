"""Workflow settings: every problem is named with its file, line and mend."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline import settings
from steps.hub import is_hub_name
from steps.typed_yaml import InvalidFile


@pytest.fixture
def configs(root: Path, tmp_path: Path) -> Path:
    """A copy of the shipped settings to break; the data path is made absolute."""
    folder = tmp_path / "configs"
    shutil.copytree(root / "configs", folder)
    edit(folder / "quickstart.yaml", "../steps/quickstart", str(root / "steps" / "quickstart"))
    return folder


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def line_of(path: Path, key: str) -> int:
    return next(number for number, line in enumerate(path.read_text().splitlines(), 1) if line.strip().startswith(key))


def test_all_problems_of_all_files_are_named_at_once(configs: Path) -> None:
    workflow = configs / "quickstart.yaml"
    edit(workflow, "processes_per_node: 2", "proceses_per_node: 2")
    line = line_of(workflow, "proceses")
    assert settings.problems(workflow) == [
        f"{workflow}: line {line}  train.proceses_per_node: unknown key; did you mean processes_per_node?"
    ]
    edit(workflow, "proceses_per_node", "processes_per_node")
    edit(configs / "account.yaml", '"111122223333"', '"1111"')
    edit(configs / "recipes" / "quickstart.yaml", "beta: 0.1", "beta: 0")
    edit(configs / "recipes" / "quickstart.yaml", "warmup_steps: 0.1", "warmup_ratio: 0.1")
    edit(workflow, "preferences.jsonl", "preference.jsonl")
    problems = settings.problems(workflow)
    account, recipe = configs / "account.yaml", configs / "recipes" / "quickstart.yaml"
    assert problems[0].startswith(f"{account}: line 3  account_id: must ")
    assert problems[1] == f"{recipe}: line {line_of(recipe, 'beta')}  beta: must be greater than 0 (given: 0)"
    assert problems[2].startswith(f"{recipe}: line {line_of(recipe, 'warmup')}  warmup_ratio: was removed; write ")
    assert "data: " in problems[3] and "there is no such file or folder" in problems[3]
    assert len(problems) == 4


def test_a_key_that_stands_twice_is_refused(configs: Path) -> None:
    workflow = configs / "quickstart.yaml"
    workflow.write_text(workflow.read_text() + "recipe: recipes/qwen3-8b.yaml\n")
    with pytest.raises(InvalidFile, match=r"recipe: stands twice \(first on line 6\)"):
        settings.load(workflow)


def test_what_is_no_yaml_or_no_file_is_one_clear_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1,\nb: }")
    assert "is not YAML" in settings.problems(broken)[0]
    assert settings.problems(tmp_path / "absent.yaml") == [f"{tmp_path / 'absent.yaml'}: the file does not exist"]


def test_new_content_gets_a_new_key_and_the_same_content_the_same(configs: Path) -> None:
    before = settings.load(configs / "quickstart.yaml")
    again = settings.load(configs / "quickstart.yaml")
    assert again.assets == before.assets
    recipe = configs / "recipes" / "quickstart.yaml"
    recipe.write_text(recipe.read_text() + "seed: 7\n")
    after = settings.load(configs / "quickstart.yaml")
    assert after.recipe_uri != before.recipe_uri
    assert after.data_uri == before.data_uri


@pytest.mark.parametrize(
    ("model_id", "is_hub"),
    [("Qwen/Qwen3-8B", True), (".local/models/quickstart", False), ("s3://bucket/model/", False), ("/models/x", False)],
)
def test_hub_names_are_told_from_paths(model_id: str, is_hub: bool) -> None:
    assert is_hub_name(model_id) is is_hub
