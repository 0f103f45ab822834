"""What all tests share: the checkout, a clean environment for child processes, the quickstart's model and data."""

from __future__ import annotations

import errno
import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import settings

from tests.forks.client import Forked, Forks
from tests.forks.stand_in import read_at_import
from tests.paths import ROOT

gc.disable()  # until all tests are collected: imports make no garbage, and there are ever more objects to look at
settings.register_profile("any machine", deadline=None)  # the machine may be busy
settings.load_profile("any machine")

Run = Callable[..., subprocess.CompletedProcess[str]]
# What a command's forked child finds loaded, by whether it is one of the pipeline's or a step's.
LOADED = {True: ["tests.forks.commands"], False: ["tests.forks.steps"]}
# What a step finds in its environment at least; TMPDIR is this machine's word for /tmp.
PLATFORM = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ} | {"AWS_REGION": "us-east-1"}
# Long files that need no tiny model, a minute together.
WITHOUT_A_MODEL = ("pipeline/test_studio.py", "steps/preprocess/report/test_page_in_browser.py",
                   "steps/train/preflight/test_memory.py")  # fmt: skip
# What starts a training or a whole pipeline: the tests that ask for one of these are slow, and no others may start one.
TRAINING_FIXTURES = {"train", "pipeline", "start_training", "start_on_nodes"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden definitions (never in CI)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if TRAINING_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
    # A file's tests stay in one worker. Files with slow tests come first, so that no worker ends long after another;
    # before them all the first one, which makes the tiny model, and for the other worker what needs none meanwhile.
    slow = [item.path for item in items if item.get_closest_marker("slow")]
    order = dict.fromkeys(slow, 3) | {ROOT / "tests" / name: 2 for name in WITHOUT_A_MODEL}
    order |= dict.fromkeys(slow[:1], 1)
    items.sort(key=lambda item: order.get(item.path, 4))


def pytest_collection_finish() -> None:
    """From here on garbage is collected, and not looked for in what the imports made: training asks for it often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(700, 10, 50)  # the oldest objects less often: after freezing there are few, and 10 would be often
    gc.enable()


class Running:
    """The test that runs now."""

    is_slow = False

    @classmethod
    def require_slow_for(cls, words: Sequence[str | Path]) -> None:
        """`make fast` leaves the slow tests out: no other may start a training."""
        texts = [str(word) for word in words]
        trains = any(text.endswith("steps/train/train.py") for text in texts)
        if trains and not cls.is_slow and not any(text.startswith("--preview") for text in texts):
            pytest.fail("this test starts a training: mark it slow")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    Running.is_slow = item.get_closest_marker("slow") is not None


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
        Running.require_slow_for(words)
        command = [sys.executable, *map(str, words)]
        return subprocess.run(
            command, cwd=ROOT, env=clean_environment | variables, capture_output=True, text=True, check=False
        )

    return call


@pytest.fixture(scope="session")
def fork_server(clean_environment: dict[str, str], shared_folder: Path) -> Iterator[Callable[[bool], Forks]]:
    """`fork_server(True)` forks commands of pipeline.py, `fork_server(False)` steps; each starts when it is used."""
    servers: dict[bool, Forks] = {}

    def server(command: bool) -> Forks:
        if command not in servers:
            servers[command] = Forks(LOADED[command], clean_environment, shared_folder / f"forks-{command}")
        return servers[command]

    yield server
    for used in servers.values():
        used.leave()
    for used in servers.values():
        used.wait()


@pytest.fixture(scope="session")
def fork(clean_environment: dict[str, str], fork_server: Callable[[bool], Forks]) -> Callable[..., Forked]:
    """`fork("-m", "steps.gate", …)` or `fork("pipeline.py", …)`: as `run`, in the background and in a forked child.

    The child has a process's arguments, environment, folder, output, signals and exit code, without the imports.
    `ranks=2` is what torchrun starts. What is about the interpreter itself (PYTHONHASHSEED, -X) needs `run`, and so do
    variables that a library reads when it is imported. `jobs`: the jobs of a local execution are forked too.
    A step (`-m steps.…`) finds what it finds on SageMaker: `env -i PATH=… AWS_REGION=us-east-1`, and `variables`.
    """

    def call(
        *words: str | Path, ranks: int = 0, one_file: bool = False, jobs: bool = False, **variables: str
    ) -> Forked:
        Running.require_slow_for(words)
        python = fork_server(False).python if jobs else None
        given = PLATFORM if words[0] == "-m" and str(words[1]).startswith("steps.") else clean_environment
        return fork_server(words[0] == "pipeline.py").start(
            *words, environment=given | variables, ranks=ranks, one_file=one_file, python=python
        )

    return call


@pytest.fixture(scope="session")
def forked(fork: Callable[..., Forked], run: Run) -> Run:
    """`fork`, and wait for its end: as `run`, which it is where the hub's library has to read variables at import."""

    def call(*words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        if read_at_import(more):
            return run(*words, **more)
        return fork(*words, **more).completed()

    return call


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all workers of a test run."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def made_once(shared_folder: Path, run: Run) -> Callable[..., Path]:
    """`made_once(name, *words)`: the folder that a command writes to `--output`, also where several workers test."""

    def make(name: str, *words: str) -> Path:
        folder = shared_folder / "made_once" / name / name
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(shared_folder / f"{name}.lock"):
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
def quickstart_model(tiny_model: Path, shared_folder: Path) -> Path:
    """The same where the quickstart looks for it, so that it need not be made once more."""
    place = ROOT / ".local" / "models" / "quickstart"
    with FileLock(shared_folder / "quickstart-model.lock"):
        manifests = [folder / "manifest.json" for folder in (tiny_model, place)]
        if not manifests[1].is_file() or manifests[0].read_bytes() != manifests[1].read_bytes():
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(tiny_model, place)
    return place


@pytest.fixture(scope="session")
def pairs(made_once: Callable[..., Path]) -> Path:
    """The quickstart's preference data, as the Preprocess step leaves it."""
    return made_once("pairs", "-m", "steps.preprocess", "--input", "steps/quickstart/preferences.jsonl")


@pytest.fixture(scope="session")
def empty_database(shared_folder: Path) -> Path:
    """An MLflow without runs, with its tables, which take it seconds to make."""
    file = shared_folder / "mlflow-empty.db"
    with FileLock(shared_folder / "mlflow-empty.lock"):
        if not file.exists():
            from steps.train.tracking.mlflow_client import connect

            connect(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def shut(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Make a folder one that cannot be entered, for root too."""
    closed: set[str] = set()
    enter = os.scandir

    def scandir(folder: Any = ".") -> Any:
        if not isinstance(folder, int) and os.fspath(folder) in closed:
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(folder))
        return enter(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    return lambda folder: closed.add(str(folder))
