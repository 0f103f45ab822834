"""Write a merged shard: the base's header byte for byte, then every tensor once, in the order of the file.

A shard appears under its own name when it is whole and on the disk. Hashing and writing have a thread each beside the
one that reads and merges; the three share what is in memory, which is bounded.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from steps.merge.arithmetic import Arithmetic
from steps.merge.base import Shard
from steps.merge.changes import Change
from steps.merge.weights import TensorFile

if TYPE_CHECKING:
    import torch

PART = ".part"
WAITING = 8  # blocks between the one that is merged and the one that is written


def write_shard(
    shard: Shard, changes: dict[str, Change], arithmetic: Arithmetic, target: Path, advance: Callable[[int], None]
) -> str:
    """Merge a shard into `target` and return the sha256 of what was written; `advance` is told of written bytes.

    Raises:
        StepError: the base's file changed, or a result is not finite.
        OSError: it cannot be written.
    """
    part = target.with_name(target.name + PART)
    digest = hashlib.sha256()
    with (
        TensorFile(shard.path, shard.tensors) as base,
        open(part, "wb", buffering=0) as file,
        ThreadPoolExecutor(1) as hasher,
        ThreadPoolExecutor(1) as writer,
    ):
        waiting: deque[tuple[int, Future, Future]] = deque()

        def settle() -> None:
            size, *both = waiting.popleft()
            for future in both:
                future.result()
            advance(size)

        for block in _blocks(base, changes, arithmetic):
            view = memoryview(block.numpy())
            waiting.append((len(view), hasher.submit(digest.update, view), writer.submit(_write, file, view)))
            if len(waiting) > WAITING:
                settle()
        while waiting:
            settle()
        os.fsync(file.fileno())
    os.replace(part, target)
    return digest.hexdigest()


def _blocks(base: TensorFile, changes: dict[str, Change], arithmetic: Arithmetic) -> Iterator[torch.Tensor]:
    yield base.header()
    for name in base.tensors:
        yield from arithmetic.blocks(base, name, changes.get(name, Change()))


def _write(file, view: memoryview) -> None:
    while view:
        view = view[file.write(view) :]
