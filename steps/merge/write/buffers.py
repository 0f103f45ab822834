"""Memory for the bytes of blocks, used again: fresh memory would cost a fault a page."""

from __future__ import annotations

from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

KEPT = 8 << 20  # bytes; larger ones are rare, and there could be a dozen


@dataclass(frozen=True)
class Buffer:
    """Memory, and the part of it that was asked for: uint8, shapes (size of the memory,) and (bytes,)."""

    memory: torch.Tensor
    bytes: torch.Tensor


class Buffers:
    """As many as are out at once, for any number of threads."""

    def __init__(self) -> None:
        self._free: SimpleQueue[torch.Tensor] = SimpleQueue()

    def take(self, size: int) -> Buffer:
        import torch

        try:
            memory = self._free.get_nowait()
        except Empty:
            memory = torch.empty(size, dtype=torch.uint8)
        if len(memory) < size:
            memory = torch.empty(size, dtype=torch.uint8)
        return Buffer(memory, memory[:size])

    def give(self, buffer: Buffer) -> None:
        """Its bytes are overwritten from now on."""
        if len(buffer.memory) <= KEPT:
            self._free.put(buffer.memory)
