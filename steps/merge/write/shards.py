"""Write merged shards: the base's header byte for byte, then every tensor once, in the order of the file.

A shard appears under its own name when it is whole and on the disk, and is then recorded. Blocks are read and merged by
a thread a core, with one thread of torch in each (blocks are too small to share), hashed by one and written by another;
what lies between them is bounded, and its memory is used again. The disk gets what is written at once, not at the
shard's end, and the next shard is merged while it takes the rest.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from steps.merge.fit.base import Shard
from steps.merge.fit.tensor_changes import Change
from steps.merge.write.arithmetic import Arithmetic, Block, copied
from steps.merge.write.buffers import Buffer, Buffers
from steps.merge.write.early import EarlyWriter
from steps.shared.weights.safetensors_file import TensorFile

PART = ".part"
WAITING = 4  # blocks that are merged and not yet written


@dataclass(frozen=True)
class _Waiting:
    """A block that is merged."""

    block: Buffer
    hashed: Future[None]
    written: Future[None]


class ShardWriter:
    """The threads, for one merge. Leaving the block waits for the last shard.

    Args:
        advance: told the bytes that were written.
        finished: told a shard's name and the sha256 of its bytes, in a thread of this.
    """

    def __init__(
        self,
        changes: dict[str, Change],
        arithmetic: Arithmetic,
        advance: Callable[[int], None],
        finished: Callable[[str, str], None],
    ) -> None:
        self._changes, self._arithmetic = changes, arithmetic
        self._advance, self._finished = advance, finished
        self._buffers = Buffers()
        self._last: Future[None] | None = None

    def __enter__(self) -> ShardWriter:
        import torch

        self._torch_threads = torch.get_num_threads()
        torch.set_num_threads(1)
        self._cores = len(os.sched_getaffinity(0))
        self._merging = ThreadPoolExecutor(self._cores, initializer=torch.set_num_threads, initargs=(1,))
        self._hashing, self._writing, self._finishing = (ThreadPoolExecutor(1) for _ in range(3))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        import torch

        for pool in (self._merging, self._hashing, self._writing):
            pool.shutdown(cancel_futures=True)
        self._finishing.shutdown()  # a shard that is whole will be recorded, whatever became of the next
        torch.set_num_threads(self._torch_threads)
        if kind is None:
            self._settle_last()

    def write(self, shard: Shard, target: Path) -> None:
        """Merge a shard into `target`; the disk may still be taking it when this returns.

        Raises:
            StepError: the base's file changed, or a result is not finite.
            OSError: it, or the shard before it, cannot be written.
        """
        digest = hashlib.sha256()
        part = target.with_name(target.name + PART)
        with TensorFile(shard.path, shard.tensors) as base, open(part, "wb", buffering=0) as file:
            early = EarlyWriter(file)
            waiting: deque[_Waiting] = deque()
            for block in self._merged(base):
                view = memoryview(block.bytes.numpy().data)
                hashed, written = self._hashing.submit(digest.update, view), self._writing.submit(early.write, view)
                waiting.append(_Waiting(block, hashed, written))
                if len(waiting) > WAITING:
                    self._settle(waiting.popleft())
            while waiting:
                self._settle(waiting.popleft())
            self._settle_last()
            own = os.dup(file.fileno())
        self._last = self._finishing.submit(self._finish, own, part, target, digest.hexdigest())

    def _finish(self, descriptor: int, part: Path, target: Path, digest: str) -> None:
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(part, target)
        self._finished(target.name, digest)

    def _settle_last(self) -> None:
        if self._last:
            self._last.result()

    def _merged(self, base: TensorFile) -> Iterator[Buffer]:
        """The shard's bytes in order, some blocks ahead of what is asked for."""
        ahead: deque[Future[Buffer]] = deque()
        for block in self._blocks(base):
            ahead.append(self._merging.submit(self._compute, block))
            if len(ahead) > 2 * self._cores:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()

    def _blocks(self, base: TensorFile) -> Iterator[Block]:
        yield from copied(base, 0, base.header_size)
        for name in base.tensors:
            yield from self._arithmetic.blocks(base, name, self._changes.get(name, Change()))

    def _compute(self, block: Block) -> Buffer:
        buffer = self._buffers.take(block.size)
        block.compute(buffer.bytes)
        return buffer

    def _settle(self, waiting: _Waiting) -> None:
        waiting.hashed.result()
        waiting.written.result()
        self._advance(len(waiting.block.bytes))
        self._buffers.give(waiting.block)
