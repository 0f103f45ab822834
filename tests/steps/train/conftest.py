"""Run the training script, alone or in ranks, forked from a process that has its libraries."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.families import save_family
from tests.forks.client import Forked
from tests.steps.train.trainers import trainer_here

RECIPE = "configs/recipes/quickstart.yaml"
SAMPLE = 160
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
Train = Callable[..., subprocess.CompletedProcess[str]]


def training(model: Path, pairs: Path, output: Path, **arguments: object) -> list[str]:
    """The words of a training's command line, from the script on."""
    given = {
        "model_id": model,
        "train_data": pairs / "train",
        "validation_data": pairs / "validation",
        "output_dir": output,
        "loss_type": "sigmoid",  # alone, its first loss is ln 2
        "evaluate_served": "false",  # what judges at the end has tests of its own
        "evaluate_answers": 0,
    }
    words = [str(word) for key, value in (given | arguments).items() for word in (f"--{key}", value)]
    return ["steps/train/train.py", "--config", RECIPE, *words]


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


@pytest.fixture
def family_trainer(tiny_model: Path, pairs: Path, tmp_path: Path) -> Callable[..., Any]:
    """`family_trainer(family, config={…}, key=value, …)`: a trainer of a tiny model of the family, on four rows."""

    def call(family: str, config: dict[str, Any] | None = None, **changes: Any) -> Any:
        folder = tmp_path / family
        if not folder.exists():
            save_family(family, folder, tiny_model, **config or {})
        plain = {"precompute_ref_log_probs": False, "lora_dropout": 0}
        return trainer_here(folder, pairs, tmp_path / "checkpoints", 4, **plain | changes)

    return call


@pytest.fixture(scope="session")
def start_training(fork: Callable[..., Forked], tiny_model: Path, pairs: Path) -> Callable[..., Forked]:
    """`start_training(output, processes, key=value, …)`: on the quickstart's model and data, in the background."""

    def call(output: Path, processes: int, variables: dict[str, str] | None = None, **arguments: object) -> Forked:
        words = training(tiny_model, pairs, output, **arguments)
        return fork(*words, ranks=processes, **ONE_THREAD | (variables or {}))

    return call


@pytest.fixture(scope="session")
def start_on_nodes(fork: Callable[..., Forked], tiny_model: Path, pairs: Path) -> Callable[..., Forked]:
    """`start_on_nodes(output, key=value, …)`: on two nodes of a process each; the second writes to `output`-1."""

    def call(output: Path, **arguments: object) -> Forked:
        words = training(tiny_model, pairs, Path(f"{output}{{node}}"), **arguments)
        return fork("tests/steps/train/as_node.py", *words, ranks=2, one_file=True, **ONE_THREAD)

    return call


@pytest.fixture(scope="session")
def train(start_training: Callable[..., Forked]) -> Train:
    """`train(output, processes, key=value, …)`: the same, to its end; two processes shard."""
    return lambda output, processes, **more: start_training(output, processes, **more).completed()
