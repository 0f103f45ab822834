"""Preprocess on a standalone cluster that loses a worker midway: the files and counts are the Python engine's."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from steps.preprocess.duplicates.ids import read_ids
from steps.preprocess.options import Options
from steps.preprocess.preprocess import preprocess
from steps.preprocess.shards.output import join_quarantine
from tests.steps.preprocess.spark.cluster import Cluster, Worker, cluster, missing, read, submit, until

MISSING = missing()
pytestmark = [pytest.mark.slow, pytest.mark.spark, pytest.mark.skipif(MISSING is not None, reason=str(MISSING))]
WORKER_MIB = 460  # of a worker, for its executor; Spark asks for at least 450


def rows() -> Iterator[str]:
    """Pairs of 45 KB. Of each fifty two stand there twice, one of them reversed, and one line is damaged."""
    random_of = random.Random(20)
    words = [f"{random_of.choice(['ab', 'co', 'de', 'in', 're'])}{number}" for number in range(5000)]
    texts = [" ".join(random_of.choices(words, k=3000)) for _ in range(40)]
    for number in range(10**9):
        kind = number % 50
        of = number - 25 * 50 if kind < 2 and number > 25 * 50 else number
        prompt = " ".join(random.Random(of).choices(words, k=30))
        answers = [f"yes {of} {texts[of % 40]}", f"no {of} {texts[of * 7 % 40]}"]
        if of != number and kind == 1:
            answers.reverse()
        yield json.dumps({"prompt": prompt, "chosen": answers[0], "rejected": answers[1]})[: -9 if kind == 3 else None]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four files, 492 MiB together, which is more than a worker's share; one has to be read from its start."""
    folder, made = tmp_path_factory.mktemp("data"), rows()
    for name, size, opened in (("0", 240, open), ("1", 140, open), ("2", 80, open), ("3", 32, gzip.open)):
        path, written = folder / f"{name}.jsonl{'.gz' * (opened is gzip.open)}", 0
        with opened(path, "wt", **({"compresslevel": 1} if opened is gzip.open else {})) as file:
            while written < size * 2**20:
                written += file.write(next(made) + "\n")
    return folder


@pytest.fixture(scope="module")
def expected(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the Python engine makes of it."""
    output = tmp_path_factory.mktemp("python") / "output"
    preprocess(Options(data, output, max_invalid_fraction=0.5))
    return output


@pytest.mark.parametrize("lost_in", [None, "convert", "write"])
def test_a_cluster_that_loses_a_worker_makes_the_python_engines_files(data, expected, lost_in, tmp_path):
    """In `convert` what the worker made of rows is lost; in `write` also shuffled verdicts, and its parts are there."""
    output, page = tmp_path / "output", free_port()
    with cluster(tmp_path, output, workers=2, memory=f"{WORKER_MIB}m") as running:
        options = ("--max-invalid-fraction", 0.5)
        spark = {"executor_memory": f"{WORKER_MIB}m", "ui_enabled": "true", "ui_port": page}
        run = submit(running.master, tmp_path / "run.log", "--input", data, "--output", output, *options, **spark)
        try:
            if lost_in:
                lose(running.workers[0], lost_in, f"http://127.0.0.1:{page}/api/v1/applications")
            assert run.wait(timeout=600) == 0, (tmp_path / "run.log").read_text()[-5000:]
        finally:
            run.kill()
            run.wait()
    told = (tmp_path / "run.log").read_text()
    assert "2 tasks at a time" in told and ("Lost executor" in told) == bool(lost_in)
    assert_same(expected, output, running)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def lose(worker: Worker, phase: str, applications: str) -> None:
    """Kill a worker when it has done two tasks of a phase's long stage, and at least as many are left."""

    def begun() -> bool:
        (one,) = read(applications)
        stages = f"{applications}/{one['id']}/stages"
        for stage in read(f"{stages}?status=active"):
            if stage.get("description") == phase and stage["numTasks"] >= 8 + stage["numCompleteTasks"]:
                done = read(f"{stages}/{stage['stageId']}/{stage['attemptId']}/taskList?status=success&length=999")
                wrote = any((worker.disk / "train").iterdir()) or phase == "convert"
                return wrote and [task["host"] for task in done].count(worker.host) >= 2
        return False

    until(begun)
    os.kill(worker.process.pid, signal.SIGKILL)


def assert_same(python: Path, on_spark: Path, machines: Cluster) -> None:
    """A part that two machines wrote is the same on both; all of them together are the Python engine's."""
    for side in ("train", "validation"):
        assert contents(python / side) == together(machines, side)
    gathered = {"quarantine": on_spark.parent / "gathered", "report/ids": on_spark.parent / "gathered" / "ids"}
    for part, folder in gathered.items():
        folder.mkdir()
        for name, found in together(machines, part).items():
            (folder / name).write_bytes(found)
    assert sorted(read_ids(on_spark.parent / "gathered").tolist()) == sorted(read_ids(python / "report").tolist())
    shutil.rmtree(gathered["report/ids"])
    join_quarantine(gathered["quarantine"])
    assert contents(gathered["quarantine"]) == contents(python / "quarantine")
    for name in ("report.json", "report.html"):
        assert (python / "report" / name).read_bytes() == (on_spark / "report" / name).read_bytes()


def together(machines: Cluster, part: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for machine in machines.workers:
        own = contents(machine.disk / part)
        assert all(found.get(name, data) == data for name, data in own.items())
        found |= own
    return found


def contents(folder: Path) -> dict[str, bytes]:
    """The files that count; one with a full stop before its name is a copy that the loss of its writer cut off."""
    return {path.name: path.read_bytes() for path in folder.glob("[!.]*") if path.is_file()}
