"""Shards one after the other: what is finished is recorded, in order, whatever becomes of the next."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from steps.merge.fit.base import Shard
from steps.merge.fit.tensor_changes import Change
from steps.merge.write.arithmetic import Arithmetic
from steps.merge.write.shards import ShardWriter
from steps.shared.contract import StepError
from steps.shared.weights.safetensors_file import TensorFile, read_header


@pytest.fixture
def shards(tmp_path: Path) -> list[Shard]:
    made = []
    for number in range(3):
        path = tmp_path / f"base-{number}"
        save_file({"weight": torch.randn(100, 50).bfloat16(), "count": torch.arange(7)}, path)
        made.append(Shard(path, read_header(path)))
    return made


@pytest.fixture
def adapter(tmp_path: Path) -> Iterator[TensorFile]:
    save_file({"other": torch.zeros(100, 50)}, tmp_path / "adapter")
    with TensorFile(tmp_path / "adapter", read_header(tmp_path / "adapter")) as file:
        yield file


class Told:
    def __init__(self) -> None:
        self.size, self.shards = 0, {}

    @contextmanager
    def writer(self, adapter: TensorFile, changes: dict[str, Change]) -> Iterator[ShardWriter]:
        with ShardWriter(changes, Arithmetic(adapter), self._advance, self.shards.__setitem__) as made:
            yield made

    def _advance(self, size: int) -> None:
        self.size += size


def test_every_shard_is_recorded_with_the_hash_of_its_bytes(shards, adapter, tmp_path) -> None:
    told = Told()
    with told.writer(adapter, {}) as writer:
        for shard in shards:
            writer.write(shard, tmp_path / f"{shard.path.name}-merged")
    assert list(told.shards) == [f"{shard.path.name}-merged" for shard in shards]
    for shard in shards:
        content = (tmp_path / f"{shard.path.name}-merged").read_bytes()
        assert content == shard.path.read_bytes()  # nothing changes it
        assert told.shards[f"{shard.path.name}-merged"] == hashlib.sha256(content).hexdigest()
    assert told.size == sum(shard.path.stat().st_size for shard in shards)
    assert not list(tmp_path.glob("*.part"))


def test_a_tensor_of_the_adapter_takes_the_place_in_the_bases_dtype(shards, adapter, tmp_path) -> None:
    told = Told()
    with told.writer(adapter, {"weight": Change(replacement="other")}) as writer:
        writer.write(shards[0], tmp_path / "merged")
    with TensorFile(tmp_path / "merged", read_header(tmp_path / "merged")) as merged:
        assert merged.tensor("weight").equal(torch.zeros(100, 50).bfloat16())


def test_a_shard_that_is_whole_is_recorded_although_the_next_one_fails(shards, adapter, tmp_path) -> None:
    told = Told()
    os.truncate(shards[1].path, shards[1].path.stat().st_size - 1)
    with pytest.raises(StepError, match="became shorter while it was read"), told.writer(adapter, {}) as writer:
        writer.write(shards[0], tmp_path / "first")
        writer.write(shards[1], tmp_path / "second")
    assert list(told.shards) == ["first"] and (tmp_path / "first").is_file() and not (tmp_path / "second").exists()


@pytest.mark.parametrize("another", [False, True])
def test_a_disk_that_cannot_keep_a_shard_is_an_error_and_it_is_not_recorded(
    shards, adapter, tmp_path, monkeypatch, another
) -> None:
    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    told = Told()
    with pytest.raises(OSError, match="Input/output error"), told.writer(adapter, {}) as writer:
        writer.write(shards[0], tmp_path / "first")
        if another:
            writer.write(shards[1], tmp_path / "second")
    assert not told.shards and not (tmp_path / "first").exists() and not (tmp_path / "second").exists()
