"""A process that the system killed is told as that, in place of what the others saw of it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from steps.shared import contract
from steps.train.runtime import killed

FIX = killed.FIX


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPT_ML", str(tmp_path))
    monkeypatch.setattr(killed, "EVENTS", tmp_path / "memory.events")
    return tmp_path


def failing(codes: dict[int, int], job: Path, kills: int = 0) -> ChildFailedError:
    """What torchrun raises for these exit codes, after the system has counted so many kills."""
    if kills:
        (job / "memory.events").write_text(f"low 0\noom_kill {kills}\n")
    failures = {rank: ProcessFailure(rank, 1, code, "<N/A>") for rank, code in codes.items()}
    return ChildFailedError("train.py", failures)


def left(job: Path, codes: dict[int, int], kills: int = 0) -> str | None:
    """The reason that is left for a torchrun that ends so."""

    def launch() -> None:
        raise failing(codes, job, kills)

    with pytest.raises(ChildFailedError):
        killed.told(launch)
    file = job / "output" / "failure"
    return file.read_text() if file.exists() else None


def test_a_rank_that_was_killed_for_want_of_memory_is_the_reason_and_not_the_lost_connection(job: Path) -> None:
    contract.write_failure(f"{contract.LOST_ANOTHER} (Connection closed by peer)")
    assert left(job, {0: 1, 1: -9}, kills=1) == (
        f"process 1 of the training (rank 1) was ended by SIGKILL: the system killed it for want of memory; {FIX}"
    )
    contract.write_failure("training ended with exit code 1; the log has the reason", if_none=True)
    assert "SIGKILL" in (job / "output" / "failure").read_text()


def test_where_the_system_counts_no_kills_it_is_told_as_likely(job: Path) -> None:
    assert left(job, {2: -9}) == (
        "process 2 of the training (rank 2) was ended by SIGKILL: nothing in the training does that, and the system "
        f"does it to the largest process when memory (RAM) is full; {FIX}"
    )


@pytest.mark.parametrize(("number", "said"), killed.OTHER.items())
def test_another_signal_is_told_by_its_name(job: Path, number: signal.Signals, said: str) -> None:
    reason = f"process 0 of the training (rank 0) was ended by {number.name}: {said}"
    assert left(job, {0: -number, 1: -signal.SIGTERM}) == reason


def test_a_process_that_left_its_own_reason_keeps_it(job: Path) -> None:
    assert left(job, {0: 1, 1: -signal.SIGTERM}) is None
    contract.write_failure("beta: 0 must be above 0")
    assert left(job, {0: 1, 1: -9}) == "beta: 0 must be above 0"


def test_what_torchrun_itself_kills_for_not_ending_is_no_reason(job: Path) -> None:
    error = failing({0: 1, 1: -9}, job)
    error.failures[1].timestamp += 115

    def launch() -> None:
        raise error

    with pytest.raises(ChildFailedError):
        killed.told(launch)
    assert not (job / "output").exists()
