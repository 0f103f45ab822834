"""Run the training script as a real process, alone or under torchrun."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

RECIPE = "configs/recipes/quickstart.yaml"
SAMPLE = 240
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
Train = Callable[..., subprocess.CompletedProcess[str]]


def training(model: Path, pairs: Path, output: Path, processes: int, **arguments: object) -> list[str]:
    """Python's arguments for a training: alone, or with processes under torchrun."""
    given = {
        "model_id": model,
        "train_data": pairs / "train",
        "validation_data": pairs / "validation",
        "output_dir": output,
        "loss_type": "sigmoid",  # alone, its first loss is ln 2
    }
    words = [str(word) for key, value in (given | arguments).items() for word in (f"--{key}", value)]
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes else []
    return [*launcher, "steps/train/train.py", "--config", RECIPE, *words]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As the processes of the other tests: more would wait for each other where several tests share the cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def pairs(made_once: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first of the quickstart's rows: a training spends its time on steps, not on tokenising and evaluating."""
    sample = tmp_path_factory.mktemp("sample") / "preferences.jsonl"
    rows = Path("steps/quickstart/preferences.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    sample.write_text("".join(rows[:SAMPLE]), encoding="utf-8")
    return made_once("sample", "-m", "steps.preprocess", "--input", str(sample))


@pytest.fixture(scope="session")
def train(run, tiny_model: Path, pairs: Path) -> Train:
    """`train(output, processes, key=value, …)` on the quickstart's model and data."""

    def call(
        output: Path, processes: int, variables: dict[str, str] | None = None, **arguments: object
    ) -> subprocess.CompletedProcess[str]:
        words = training(tiny_model, pairs, output, processes, **arguments)
        return run(*words, **ONE_THREAD | (variables or {}))

    return call
