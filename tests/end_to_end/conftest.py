"""Whole pipelines as a user runs them: one state folder for the module, the quickstart's model."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.paths import ROOT


class Pipeline:
    """The command line with a local root of its own."""

    def __init__(self, run: Callable[..., subprocess.CompletedProcess[str]], root: Path, model: Path, data: Path):
        self.run, self.root, self.model, self.data = run, root, model, data

    def __call__(self, verb: str, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run("pipeline.py", verb, *words, "--local", "--local-root", self.root, jobs=True)

    def start(self, *options: str, **parameters: object) -> tuple[int, dict[str, Any], str]:
        """Run an execution to its end: exit code, summary, stderr."""
        given = {"ModelUri": self.model, "InputDataUri": self.data} | parameters
        words = [word for name, value in given.items() for word in ("--set", f"{name}={value}")]
        done = self("start", "--wait", "--json", *options, *words)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout), done.stderr

    def json(self, verb: str, *words: str) -> Any:
        done = self(verb, "--json", *words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def pipeline(forked, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """On the first half of the quickstart's rows."""
    rows = (ROOT / "steps" / "quickstart" / "preferences.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    root = tmp_path_factory.mktemp("state")
    (root / "rows.jsonl").write_text("".join(rows[: len(rows) // 2]), encoding="utf-8")
    return Pipeline(forked, root, tiny_model, root / "rows.jsonl")
