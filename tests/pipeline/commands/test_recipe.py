"""recipe: a file of another trainer in, a recipe out that `check` accepts, and the report beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.steps.train.other_tools.files import AXOLOTL_YAML, LLAMA_FACTORY_YAML, TRL_YAML


@pytest.mark.parametrize("words", [TRL_YAML, AXOLOTL_YAML, LLAMA_FACTORY_YAML], ids=["trl", "axolotl", "llama-factory"])
def test_a_translated_file_passes_check(forked, tmp_path: Path, words: str) -> None:
    theirs, ours = tmp_path / "dpo.yml", tmp_path / "mine.yaml"
    theirs.write_text(words)
    done = forked("pipeline.py", "recipe", "--from", theirs, "-o", ours)
    assert done.returncode == 0 and done.stdout == ""
    assert f"{ours}: written; next: python pipeline.py check --recipe {ours}" in done.stderr
    printed = forked("pipeline.py", "recipe", "--from", theirs)
    assert printed.stdout == ours.read_text() and "keys are in the recipe" in printed.stderr
    checked = forked("pipeline.py", "check", "--recipe", ours)
    assert checked.returncode == 0, checked.stderr


def test_a_recipe_that_is_there_is_not_overwritten(forked, tmp_path: Path) -> None:
    (tmp_path / "dpo.yml").write_text(TRL_YAML)
    (tmp_path / "mine.yaml").write_text("beta: 0.1\n")
    done = forked("pipeline.py", "recipe", "--from", tmp_path / "dpo.yml", "-o", tmp_path / "mine.yaml")
    assert done.returncode == 1 and "is there already" in done.stderr
    assert (tmp_path / "mine.yaml").read_text() == "beta: 0.1\n"


def test_a_file_of_nobody_is_one_line(forked, tmp_path: Path) -> None:
    (tmp_path / "other.yml").write_text("lr: 1\n")
    done = forked("pipeline.py", "recipe", "--from", tmp_path / "other.yml")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"error: {tmp_path / 'other.yml'}: is no file of TRL, axolotl or LLaMA-Factory")
    assert len(done.stderr.splitlines()) == 1
