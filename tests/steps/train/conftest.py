"""Run the training script as a real process, alone or under torchrun."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

RECIPE = "configs/recipes/quickstart.yaml"
Train = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def train(run, tiny_model: Path, pairs: Path) -> Train:
    """`train(output, processes, key=value, …)` on the quickstart's model and data."""

    def call(
        output: Path, processes: int, variables: dict[str, str] | None = None, **arguments: object
    ) -> subprocess.CompletedProcess[str]:
        given = {
            "model_id": tiny_model,
            "train_data": pairs / "train",
            "validation_data": pairs / "validation",
            "output_dir": output,
        }
        words = [word for key, value in (given | arguments).items() for word in (f"--{key}", value)]
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes else []
        environment = {"OMP_NUM_THREADS": "1"} | (variables or {})
        return run(*launcher, "steps/train/train.py", "--config", RECIPE, *words, **environment)

    return call
