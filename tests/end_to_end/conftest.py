"""Whole pipelines as a user runs them: one state folder a module, the quickstart's model. Few questions are asked:
what all of them say of a model is a matter of the quickstart's own test."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.paths import ROOT


class Pipeline:
    """The command line with a local root of its own."""

    def __init__(
        self, run: Callable[..., subprocess.CompletedProcess[str]], root: Path, model: Path, data: Path, settings: Path
    ):
        self.run, self.root, self.model, self.data, self.settings = run, root, model, data, settings

    def __call__(self, verb: str, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run("pipeline.py", verb, *words, "--local", "--local-root", self.root, jobs=True)

    def start(self, *options: str, **parameters: object) -> tuple[int, dict[str, Any], str]:
        """Run an execution to its end: exit code, summary, stderr."""
        given = {"ModelUri": self.model, "InputDataUri": self.data} | parameters
        words = [word for name, value in given.items() for word in ("--set", f"{name}={value}")]
        settings = () if "--settings" in options else ("--settings", self.settings)
        done = self("start", "--wait", "--json", *settings, *options, *words)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout), done.stderr

    def json(self, verb: str, *words: str) -> Any:
        done = self(verb, "--json", *words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="session")
def few_questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the quickstart's settings and its recipe, but for the number and length of answers."""
    configs = tmp_path_factory.mktemp("few") / "configs"
    shutil.copytree(ROOT / "configs", configs)
    settings = yaml.safe_load((configs / "quickstart.yaml").read_text())
    settings |= {"data": str(ROOT / "steps/quickstart/preferences.jsonl")}
    settings["gate"] |= {"max_served_drift": None}  # of few rows a tenth changes sides soon
    (configs / "quickstart.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    recipe = yaml.safe_load((configs / "recipes/quickstart.yaml").read_text())
    recipe |= {"evaluate_answers": 8, "answers_max_new_tokens": 40}
    (configs / "recipes/quickstart.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    return configs


@pytest.fixture(scope="module")
def pipeline(forked, tiny_model: Path, few_questions: Path, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """On the first half of the quickstart's rows."""
    rows = (ROOT / "steps" / "quickstart" / "preferences.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    root = tmp_path_factory.mktemp("state")
    (root / "rows.jsonl").write_text("".join(rows[: len(rows) // 2]), encoding="utf-8")
    return Pipeline(forked, root, tiny_model, root / "rows.jsonl", few_questions / "quickstart.yaml")
