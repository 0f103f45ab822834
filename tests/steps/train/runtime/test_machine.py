"""A full disk or memory is one line with the fix, in the words of Python, torch and safetensors; other errors stay."""

from __future__ import annotations

import errno

import pytest

from steps.shared.contract import StepError
from steps.train.runtime import machine, ranks

FULL = OSError(errno.ENOSPC, "No space left on device", "/opt/ml/checkpoints/optimizer.bin")
DISK = [
    FULL,
    OSError(errno.EROFS, "Read-only file system", "x"),
    RuntimeError("[enforce fail at inline_container.cc:668] . PytorchStreamWriter failed writing file data/0"),
    Exception("Error while serializing: I/O error: No space left on device (os error 28)"),
]
MEMORY = [
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
]


@pytest.mark.parametrize("error", DISK)
def test_a_full_disk(error: Exception) -> None:
    said = r"^this process cannot write: .+; make room on the disk \(in a pipeline: a larger"
    with pytest.raises(StepError, match=said), machine.explained():
        raise error


@pytest.mark.parametrize("error", MEMORY)
def test_a_full_memory(error: Exception) -> None:
    said = r"^the memory \(RAM\) of this machine does not suffice: (Memory|\[enf).+ more"
    with pytest.raises(StepError, match=said), machine.explained():
        raise error


def test_what_is_neither_stays_what_it_is() -> None:
    for error in (OSError(errno.ENOENT, "No such file", "x"), RuntimeError("mat1 and mat2"), KeyError("x")):
        with pytest.raises(type(error)), machine.explained():
            raise error
        with pytest.raises(type(error)), ranks.failing_together():
            raise error


def test_the_first_rank_ends_with_the_disk_as_its_reason() -> None:
    def full() -> None:
        raise FULL

    with pytest.raises(StepError, match=r"cannot write: .*No space left on device: '/opt/ml/ch"):
        ranks.done_by_first(full)
    with pytest.raises(StepError, match="cannot write"), ranks.failing_together():
        full()
