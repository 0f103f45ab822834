"""What all tests share: the checkout, a clean environment for child processes, the quickstart's model and data."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
Run = Callable[..., subprocess.CompletedProcess[str]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden definitions (never in CI)")


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
def tiny_model(tmp_path_factory: pytest.TempPathFactory, run: Run) -> Path:
    """The quickstart's base model, made once per test run."""
    folder = tmp_path_factory.mktemp("model") / "quickstart"
    done = run("-m", "steps.quickstart.tiny_model", "--output", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory, run: Run) -> Path:
    """The quickstart's preference data, as the Preprocess step leaves it."""
    folder = tmp_path_factory.mktemp("pairs")
    done = run("-m", "steps.preprocess", "--input", "steps/quickstart/preferences.jsonl", "--output", folder)
    assert done.returncode == 0, done.stderr
    return folder
