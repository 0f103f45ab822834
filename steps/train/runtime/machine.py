"""A disk or a memory (RAM) that has no room left, as one line that says what to do; torch's forms of it included."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Iterator

from steps.shared import contract
from steps.shared.contract import StepError

DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
# Of torch.save, which says no more, and of safetensors.
DISK_WORDS = re.compile(r"PytorchStreamWriter failed writing|No space left on device|Read-only file system|Disk quota")
MEMORY_WORDS = re.compile(r"DefaultCPUAllocator: (can't|not enough)|Cannot allocate memory")


def told(error: Exception) -> str | None:
    """What to do about a full disk or memory; None for any other error."""
    words = contract.in_one_line(error)
    if (isinstance(error, OSError) and error.errno in DISK) or DISK_WORDS.search(words):
        return (
            f"this process cannot write: {words}; make room on the disk (in a pipeline: a larger train.volume_gb, or a "
            "lower save_total_limit), and start again: checkpoints that are whole are continued"
        )
    if isinstance(error, MemoryError) or MEMORY_WORDS.search(words):
        return f"the memory (RAM) of this machine does not suffice: {words}; take an instance with more of it"
    return None


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """
    Raises:
        StepError: instead of the error, where a disk or the memory is full.
    """
    try:
        yield
    except StepError:
        raise
    except Exception as error:
        if reason := told(error):
            raise StepError(reason) from error
        raise
