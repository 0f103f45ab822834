"""Write merged shards: the base's header byte for byte, then every tensor once, in the order of the file.

A shard appears under its own name when it is whole and on the disk. Blocks are read and merged by a thread a core, with
one thread of torch in each (blocks are too small to share), hashed by one and written by another; what lies between
them is bounded.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from steps.merge.fit.base import Shard
from steps.merge.fit.tensor_changes import Change
from steps.merge.write.arithmetic import Arithmetic
from steps.shared.safetensors_file import TensorFile

if TYPE_CHECKING:
    import torch

PART = ".part"
WAITING = 4  # blocks that are merged and not yet written


class ShardWriter:
    """The threads, for one merge."""

    def __init__(self, changes: dict[str, Change], arithmetic: Arithmetic, advance: Callable[[int], None]) -> None:
        self._changes, self._arithmetic, self._advance = changes, arithmetic, advance

    def __enter__(self) -> ShardWriter:
        import torch

        self._torch_threads = torch.get_num_threads()
        torch.set_num_threads(1)
        self._cores = len(os.sched_getaffinity(0))
        self._merging = ThreadPoolExecutor(self._cores, initializer=torch.set_num_threads, initargs=(1,))
        self._hashing, self._writing = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        import torch

        for pool in (self._merging, self._hashing, self._writing):
            pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self._torch_threads)

    def write(self, shard: Shard, target: Path) -> str:
        """Merge a shard into `target` and return the sha256 of what was written.

        Raises:
            StepError: the base's file changed, or a result is not finite.
            OSError: it cannot be written.
        """
        part = target.with_name(target.name + PART)
        digest = hashlib.sha256()
        with TensorFile(shard.path, shard.tensors) as base, open(part, "wb", buffering=0) as file:
            waiting: deque[tuple[int, Future, Future]] = deque()
            for block in self._merged(base):
                view = memoryview(block.numpy().data)
                both = self._hashing.submit(digest.update, view), self._writing.submit(_write, file, view)
                waiting.append((len(view), *both))
                if len(waiting) > WAITING:
                    self._settle(*waiting.popleft())
            while waiting:
                self._settle(*waiting.popleft())
            os.fsync(file.fileno())
        os.replace(part, target)
        return digest.hexdigest()

    def _merged(self, base: TensorFile) -> Iterator[torch.Tensor]:
        """The shard's bytes in order, some blocks ahead of what is asked for."""
        ahead: deque[Future] = deque()
        for task in self._tasks(base):
            ahead.append(self._merging.submit(task))
            if len(ahead) > 2 * self._cores:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()

    def _tasks(self, base: TensorFile) -> Iterator[Callable[[], torch.Tensor]]:
        yield base.header
        for name in base.tensors:
            yield from self._arithmetic.tasks(base, name, self._changes.get(name, Change()))

    def _settle(self, size: int, hashed: Future, written: Future) -> None:
        hashed.result()
        written.result()
        self._advance(size)


def _write(file: FileIO, view: memoryview) -> None:
    while view:
        view = view[file.write(view) :]
