"""The machine's memory is asked before every process loads the whole base."""

from __future__ import annotations

from pathlib import Path

import pytest

from steps.train.arguments import TrainArguments
from steps.train.served import host_memory

GIGA = 10**9


@pytest.fixture
def free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 40 GiB, 30 of them free, with four processes."""
    file = tmp_path / "meminfo"
    file.write_text(f"MemTotal: {40 * 1024**2} kB\nMemAvailable:   {30 * 1024**2} kB\n")
    monkeypatch.setattr(host_memory, "MEMINFO", file)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")


@pytest.mark.usefixtures("free")
def test_auto_loads_no_base_that_the_machine_cannot_hold_once_a_process() -> None:
    auto = TrainArguments(model_id="m")
    assert host_memory.lacking(auto, 4 * GIGA) is None  # 4 processes of 7.45 GiB
    assert host_memory.lacking(auto, 8 * GIGA) == (
        "evaluate_served: auto: while it loads, the unquantised base takes 14.9 GiB of the machine's memory in each of "
        "4 processes, 30.0 GiB are free; evaluate_served: true asks for it all the same"
    )
    assert host_memory.lacking(TrainArguments(model_id="m", bf16=False), 4 * GIGA) is not None
    assert host_memory.lacking(TrainArguments(model_id="m", evaluate_served="true"), 8 * GIGA) is None


def test_where_the_system_does_not_tell_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_memory, "MEMINFO", tmp_path / "absent")
    assert host_memory.lacking(TrainArguments(model_id="m"), 10**15) is None


def test_this_machine_has_memory() -> None:
    found = host_memory.available()
    assert found is None or found > 0
