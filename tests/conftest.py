"""What all tests share: the checkout, a clean environment for child processes, the quickstart's model and data."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

from tests.paths import ROOT

settings.register_profile("any machine", deadline=None)  # the machine may be busy
settings.load_profile("any machine")

Run = Callable[..., subprocess.CompletedProcess[str]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden definitions (never in CI)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several workers test, files with many slow tests come first: one that came last would have one worker."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
        items.sort(key=lambda item: -slow[item.path])  # stable: within a file the order stays


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def clean_environment() -> dict[str, str]:
    """The environment without AWS settings: nothing a test starts may find an account."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


@pytest.fixture(scope="session")
def run(clean_environment: dict[str, str]) -> Run:
    """Run a Python command line from the checkout as a real process; output is captured as text."""

    def call(*words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *map(str, words)]
        return subprocess.run(
            command, cwd=ROOT, env=clean_environment | variables, capture_output=True, text=True, check=False
        )

    return call


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory, run: Run) -> Callable[..., Path]:
    """`made_once(name, *words)`: the folder that a command writes to `--output`, also where several workers test."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def make(name: str, *words: str) -> Path:
        folder = shared / "made_once" / name / name
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(shared / f"{name}.lock"):
            if not folder.exists():
                done = run(*words, "--output", folder)
                assert done.returncode == 0, done.stderr
        return folder

    return make


@pytest.fixture(scope="session")
def tiny_model(made_once: Callable[..., Path]) -> Path:
    """The quickstart's base model, made once per test run."""
    return made_once("quickstart", "-m", "steps.quickstart.tiny_model")


@pytest.fixture(scope="session")
def pairs(made_once: Callable[..., Path]) -> Path:
    """The quickstart's preference data, as the Preprocess step leaves it."""
    return made_once("pairs", "-m", "steps.preprocess", "--input", "steps/quickstart/preferences.jsonl")
