"""A node's checkpoints are its own copy: filled at the start, stored while it runs, deleted in S3 when it deletes."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.local.jobs import checkpoints
from pipeline.local.jobs.checkpoints import Checkpoints
from pipeline.local.jobs.job import JobStopped
from pipeline.local.jobs.nodes import StopRequest
from pipeline.local.state.store import Store

URI = "s3://bucket/run/"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "old").write_text("old")
    store = Store(tmp_path / "local")
    store.put(tmp_path / "old", f"{URI}checkpoint-1/state")
    store.put(tmp_path / "old", "s3://bucket/run-2/checkpoint-1/state")
    return store


@pytest.fixture
def nodes(tmp_path: Path) -> list[Path]:
    return [tmp_path / "ml" / "checkpoints", tmp_path / "ml-2" / "checkpoints"]


def names(store: Store) -> list[str]:
    return [name for name, _ in store.objects(URI)]


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def test_what_is_stored_after_the_start_reaches_no_other_node(store: Store, nodes: list[Path]) -> None:
    with Checkpoints(store, URI, nodes).kept():
        assert [(node / "checkpoint-1/state").read_text() for node in nodes] == ["old", "old"]
        write(nodes[0], "checkpoint-2/state", "new")
        write(nodes[0], "checkpoint-1/state", "changed by the first")
    assert names(store) == ["checkpoint-1/state", "checkpoint-2/state"]
    assert store.path(f"{URI}checkpoint-1/state").read_text() == "changed by the first"
    assert not (nodes[1] / "checkpoint-2").exists() and (nodes[1] / "checkpoint-1/state").read_text() == "old"


def test_while_a_job_runs_a_file_is_stored_once_it_stays_the_same(store: Store, nodes: list[Path]) -> None:
    copies = Checkpoints(store, URI, nodes)
    copies.fill()
    write(nodes[1], "checkpoint-2/state", "half")
    copies.store(ended=False)
    write(nodes[1], "checkpoint-2/state", "half and more")
    copies.store(ended=False)
    assert names(store) == ["checkpoint-1/state"]
    copies.store(ended=False)
    assert store.path(f"{URI}checkpoint-2/state").read_text() == "half and more"


def test_what_every_node_deleted_is_deleted_in_s3(store: Store, nodes: list[Path]) -> None:
    copies = Checkpoints(store, URI, nodes)
    copies.fill()
    os.remove(nodes[0] / "checkpoint-1/state")
    copies.store(ended=False)
    assert names(store) == ["checkpoint-1/state"]  # the other node has it
    os.remove(nodes[1] / "checkpoint-1/state")
    copies.store(ended=True)
    assert names(store) == [] and store.exists("s3://bucket/run-2/")


def test_a_job_that_fails_has_its_checkpoints_stored(store: Store, nodes: list[Path], monkeypatch) -> None:
    monkeypatch.setattr(checkpoints, "LOOK_SECONDS", 0.01)
    stored = threading.Event()
    monkeypatch.setattr(store, "put", lambda file, uri: (Store.put(store, file, uri), stored.set()))
    with pytest.raises(RuntimeError), Checkpoints(store, URI, nodes[:1]).kept():
        write(nodes[0], "checkpoint-2/state", "first")
        assert stored.wait(20)  # by the look of every so often
        write(nodes[0], "checkpoint-3/state", "last")
        raise RuntimeError
    assert names(store) == ["checkpoint-1/state", "checkpoint-2/state", "checkpoint-3/state"]


def test_what_a_killed_executor_left_is_stored_and_what_was_stored_and_deleted_since_stays_away(
    store: Store, tmp_path: Path
) -> None:
    trees, config = [tmp_path / "ml", tmp_path / "ml-2"], {"S3Uri": URI}
    with pytest.raises(ValueError, match="the job failed"), checkpoints.checkpoints(store, config, trees):
        write(trees[0] / "checkpoints", "checkpoint-2/state", "new")
        raise ValueError("the job failed")
    store.delete(f"{URI}checkpoint-2/state")  # by another run of the same prefix, which went on
    checkpoints.rescue(store, config, trees)
    assert names(store) == ["checkpoint-1/state"]
    shutil.rmtree(trees[0])
    shutil.rmtree(trees[1])
    begun = checkpoints.checkpoints(store, config, trees)
    begun.__enter__()  # and its executor is killed
    write(trees[1] / "checkpoints", "checkpoint-3/state", "last")
    checkpoints.rescue(store, config, trees)
    assert names(store) == ["checkpoint-1/state", "checkpoint-3/state"]
    begun.__exit__(None, None, None)


def job(store: Store, folder: Path, name: str) -> Any:
    folder.mkdir()
    return SimpleNamespace(name=name, store=store, log=folder / "log.txt", stop=StopRequest())


def test_a_job_waits_for_one_that_uses_the_same_checkpoints(store: Store, tmp_path: Path) -> None:
    one, two = (job(store, tmp_path / name, name) for name in ("one", "two"))
    order, said = [], []

    def run_two() -> None:
        with checkpoints.sole_user(two, {"S3Uri": URI}, said.append):
            order.append("two")

    waiting = threading.Thread(target=run_two)
    with checkpoints.sole_user(one, {"S3Uri": URI}), checkpoints.sole_user(two, {"S3Uri": "s3://bucket/run-2/"}):
        waiting.start()
        while not said:
            time.sleep(0.01)
        order.append("one")
    waiting.join()
    assert order == ["one", "two"]
    assert said == [f"waiting for one, which uses the same checkpoints ({URI})"]


def test_who_waits_for_checkpoints_can_be_stopped(store: Store, tmp_path: Path) -> None:
    one, two = (job(store, tmp_path / name, name) for name in ("one", "two"))
    two.stop.ask()
    refused = pytest.raises(JobStopped)
    with checkpoints.sole_user(one, {"S3Uri": URI}), refused, checkpoints.sole_user(two, {"S3Uri": URI}):
        raise AssertionError("it has not waited")
