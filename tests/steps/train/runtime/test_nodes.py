"""What one node has reaches the others, by two processes with a folder each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forks.client import Forked

Nodes = Callable[[str], list[str]]


@pytest.fixture
def nodes(fork: Callable[..., Forked], tmp_path: Path) -> Nodes:
    """Run two nodes, whose folders are `tmp_path`/0 and /1; what each of them says."""

    def call(what: str) -> list[str]:
        words = ("-m", "tests.steps.train.runtime.on_two_nodes", what, tmp_path)
        done = fork(*words, ranks=2, OMP_NUM_THREADS="1").completed()
        assert done.returncode == 0, done.stdout + done.stderr
        return [path.read_text() for path in sorted(tmp_path.glob("said-*"))]

    return call


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_node_gets_the_files_that_it_lacks_or_has_with_other_bytes(nodes: Nodes, tmp_path: Path) -> None:
    first, other = tmp_path / "0", tmp_path / "1"
    first.mkdir()
    (first / "optimizer.bin").write_bytes(bytes(range(256)) * 20)
    (first / "adapter.safetensors").write_bytes(b"weights")
    (first / "state.json").write_bytes(b"{}")
    (first / "empty").touch()
    other.mkdir()
    (other / "adapter.safetensors").write_bytes(b"w3ights")
    (other / "state.json").write_bytes(b"{}")
    lacked = "['adapter.safetensors', 'empty', 'optimizer.bin']"
    assert nodes("share") == [lacked, lacked]
    assert contents(other) == contents(first)


def test_a_node_that_cannot_write_stops_all_of_them_with_the_reason(nodes: Nodes, tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "optimizer.bin").write_bytes(bytes(5000))
    (tmp_path / "1").touch()  # where a folder should be
    first, second = nodes("share")
    assert first.startswith("0: optimizer.bin cannot be copied from the first node to another: [Errno ")
    assert second.removeprefix("1") == first.removeprefix("0")


def test_the_first_node_gets_a_small_file_of_every_rank(nodes: Nodes, tmp_path: Path) -> None:
    for rank in ("0", "1"):
        (tmp_path / rank).mkdir()
        (tmp_path / rank / f"state_{rank}").write_text(rank)
    nodes("collect")
    assert contents(tmp_path / "0") == {"state_0": b"0", "state_1": b"1"}


def test_an_error_of_the_first_rank_is_every_ranks(nodes: Nodes) -> None:
    assert nodes("fail") == ["the first rank, 0, has a reason"] * 2


def test_a_full_disk_of_one_rank_is_every_ranks_reason(nodes: Nodes) -> None:
    first, second = nodes("full")
    assert first == second
    assert first.startswith("this process cannot write: [Errno 28] No space left on device: 'optimizer.bin'; make room")
