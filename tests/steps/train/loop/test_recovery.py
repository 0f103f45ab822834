"""A run that is killed, interrupted or moved to other processes ends as one that was left alone."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forks.client import Forked
from tests.steps.train.conftest import ONE_THREAD, training

pytestmark = pytest.mark.slow
RUN = {"max_steps": 9, "save_steps": 3, "logging_steps": 1, "save_total_limit": 2, "lora_dropout": 0.1}
RESULTS = ("adapter_model.safetensors", "evaluation.json")
WORLDS = {0: {"fsdp": "false"}, 2: {}}  # one process, and two that shard, each on a node of its own
SECONDS = 240
LOSS_TOLERANCE = 1e-4  # of the same rows in other batches: bfloat16 sums are taken in another order

Start = Callable[..., Forked]


@pytest.fixture(scope="module")
def start(fork: Callable[..., Forked], start_on_nodes: Callable[..., Forked], tiny_model: Path, pairs: Path) -> Start:
    """`start(output, processes, key=value, …)`: a training that goes on in the background.

    Two processes are on two nodes. At every start the second one is a new machine: its disk is empty.
    """

    def call(output: Path, processes: int, **arguments: object) -> Forked:
        if processes == 2:
            shutil.rmtree(f"{output}-1", ignore_errors=True)
            return start_on_nodes(output, **arguments)
        words = training(tiny_model, pairs, output, **arguments)
        return fork(*words, ranks=processes, one_file=True, **ONE_THREAD)

    return call


@pytest.fixture(scope="module", params=list(WORLDS), ids=["alone", "sharded"])
def undisturbed(request, start: Start, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path]:
    """A run that nothing happens to: its number of processes, and its output."""
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    finished(start(output, request.param, **RUN, **WORLDS[request.param]))
    return request.param, output


def finished(process: Forked) -> str:
    """What a training said until its end, which must be a good one."""
    code = process.wait(SECONDS)
    assert code == 0, process.stdout()
    return process.stdout()


def steps(output: Path) -> list[int]:
    """The steps of the checkpoints that are there."""
    return [int(path.name.removeprefix("checkpoint-")) for path in (output / "checkpoints").glob("checkpoint-*")]


def wait_for(process: Forked, condition: Callable[[], bool]) -> None:
    until = time.monotonic() + SECONDS
    while not condition():
        assert process.poll() is None, process.stdout()
        assert time.monotonic() < until
        time.sleep(0.005)


def test_a_run_killed_at_any_moment_ends_bitwise_as_one_that_was_not(
    undisturbed: tuple[int, Path], start: Start, tmp_path: Path
) -> None:
    """Alone it is killed twice."""
    processes, expected = undisturbed
    output, moments = tmp_path / "out", random.Random(processes)
    for _ in range(1 if processes else 2):
        before = steps(output)
        process = start(output, processes, **RUN, **WORLDS[processes])
        wait_for(process, lambda: max(steps(output), default=0) > max(before, default=0))  # noqa: B023 (used at once)
        time.sleep(moments.random() / 6)  # killed in a step, or while a checkpoint is written
        process.kill()
        assert max(steps(output)) < RUN["max_steps"], "it had ended before it was killed"
    said = finished(start(output, processes, **RUN, **WORLDS[processes]))
    assert "continuing from checkpoint-" in said
    for name in RESULTS:
        assert (output / name).read_bytes() == (expected / name).read_bytes(), name
    kept = sorted(path.name for path in (output / "checkpoints").iterdir())
    assert kept == ["checkpoint-6", "checkpoint-9"]


@pytest.mark.parametrize("undisturbed", [0], indirect=True, ids=["alone"])
def test_a_run_that_only_lacks_its_results_makes_them_without_another_step(
    undisturbed: tuple[int, Path], start: Start, tmp_path: Path
) -> None:
    processes, expected = undisturbed
    output = tmp_path / "out"
    shutil.copytree(expected / "checkpoints", output / "checkpoints")
    said = finished(start(output, processes, **RUN, **WORLDS[processes]))
    assert "continuing from checkpoint-9" in said
    assert "step=10/" not in said
    for name in RESULTS:
        assert (output / name).read_bytes() == (expected / name).read_bytes(), name


@pytest.mark.parametrize("undisturbed", [0], indirect=True, ids=["alone"])
def test_a_damaged_checkpoint_is_recognised_and_the_one_before_is_used(
    undisturbed: tuple[int, Path], start: Start, tmp_path: Path
) -> None:
    processes, expected = undisturbed
    output = tmp_path / "out"
    shutil.copytree(expected / "checkpoints", output / "checkpoints")
    optimizer = next((output / "checkpoints" / "checkpoint-9").glob("optimizer.*"))
    damaged = bytearray(optimizer.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    optimizer.write_bytes(damaged)
    said = finished(start(output, processes, **RUN, **WORLDS[processes]))
    assert f"checkpoint-9 is passed over: {optimizer.name} is damaged" in said
    assert "continuing from checkpoint-6" in said
    assert (output / RESULTS[0]).read_bytes() == (expected / RESULTS[0]).read_bytes()


def test_sigterm_leaves_a_checkpoint_of_the_last_step_and_no_results(
    undisturbed: tuple[int, Path], start: Start, tmp_path: Path
) -> None:
    processes, expected = undisturbed
    output, rare = tmp_path / "out", RUN | {"save_steps": 1000}
    process = start(output, processes, **rare, **WORLDS[processes])
    wait_for(process, lambda: "step=3/" in process.stdout())
    signalled = time.monotonic()
    process.send_signal(signal.SIGTERM)  # to the ranks' parent alone, as the launcher does to torchrun
    code, said = process.wait(SECONDS), process.stdout()
    assert code == 1, said
    assert time.monotonic() - signalled < 120  # the notice of a spot interruption
    (kept,) = (output / "checkpoints").glob("checkpoint-*")
    assert f"stopped by SIGTERM; {kept.name} is whole, and the next start of this run continues from it" in said
    assert not (output / "manifest.json").exists()
    said = finished(start(output, processes, **rare, **WORLDS[processes]))
    assert f"continuing from {kept.name}" in said
    assert (output / RESULTS[0]).read_bytes() == (expected / RESULTS[0]).read_bytes()


def test_another_number_of_processes_goes_on_with_the_same_rows(start: Start, tmp_path: Path) -> None:
    # Within a pass over the rows: its last step has what is left, and two processes fill that up.
    run, logs = RUN | {"lora_dropout": 0, "max_steps": 9}, {}
    for processes in (2, 1):
        output = tmp_path / str(processes)
        if processes == 1:
            shutil.copytree(tmp_path / "2" / "checkpoints", output / "checkpoints")
            shutil.rmtree(output / "checkpoints" / "checkpoint-9")
        said = finished(start(output, processes, **run))
        history = json.loads((output / "history.json").read_text())
        logs[processes] = {entry["step"]: entry for entry in history if "loss" in entry}
    assert "continuing from checkpoint-6" in said
    assert list(logs[1]) == list(logs[2]) == list(range(1, 10))  # the history comes with the checkpoint
    for step in (7, 8, 9):
        entry = logs[1][step]
        assert entry["reward_accuracy"] == logs[2][step]["reward_accuracy"]
        assert entry["loss"] == pytest.approx(logs[2][step]["loss"], abs=LOSS_TOLERANCE)
