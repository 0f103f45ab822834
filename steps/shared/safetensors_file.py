"""Safetensors files: what one holds and where, told from its header, and its tensors read one at a time.

Files are read, not mapped: the pages of a mapped file would count as this process's memory. torch is imported only by
what reads a tensor.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steps.shared.contract import StepError

if TYPE_CHECKING:
    import torch

FLOATS = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}  # safetensors' name: torch's


@dataclass(frozen=True)
class Stored:
    """A tensor as its file's header describes it; dtypes by safetensors' names (BF16, F32, U8, …)."""

    shape: tuple[int, ...]
    dtype: str
    start: int  # its first byte, counted from the file's
    size: int  # in bytes


def read_header(path: Path) -> dict[str, Stored]:
    """Every tensor in a file, by name, in the order of the bytes. A file that was cut short is found here.

    Raises:
        StepError: it is not a whole safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np"):  # checks the header, and that it covers the file
            pass
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header: dict[str, Any] = json.loads(file.read(length))
    except (SafetensorError, OSError) as error:
        raise StepError(f"{path}: is not a whole safetensors file ({error}); copy or download it again") from None
    header.pop("__metadata__", None)
    found = {}
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        first, last = entry["data_offsets"]
        found[name] = Stored(tuple(entry["shape"]), entry["dtype"], 8 + length + first, last - first)
    return found


class TensorFile:
    """An open safetensors file, for any number of threads.

    Everything it gives lies in memory of its own, at an address that torch aligns.
    """

    def __init__(self, path: Path, tensors: dict[str, Stored]) -> None:
        self.path, self.tensors = path, tensors
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 (closed by __exit__)
        os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)

    def __enter__(self) -> TensorFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def header(self) -> torch.Tensor:
        """All bytes before the tensors': uint8, shape (bytes,)."""
        return self._bytes(0, min((stored.start for stored in self.tensors.values()), default=self.path.stat().st_size))

    def tensor(self, name: str) -> torch.Tensor:
        """A whole tensor of floats, in the dtype and shape that its header says."""
        stored = self.tensors[name]
        return self._bytes(stored.start, stored.size).view(torch_dtype(stored.dtype)).view(stored.shape)

    def rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Some rows of a tensor of floats: shape (stop - start, columns). Dimensions before the last count as rows."""
        stored = self.tensors[name]
        columns = stored.shape[-1] if stored.shape else 1
        width = stored.size // max(math.prod(stored.shape[:-1]), 1)
        found = self._bytes(stored.start + start * width, (stop - start) * width)
        return found.view(torch_dtype(stored.dtype)).view(stop - start, columns)

    def tasks(self, name: str, size: int) -> Iterator[Callable[[], torch.Tensor]]:
        """What to call for a tensor's bytes, whatever its dtype, in order: uint8, shape (bytes,), up to `size`."""
        stored = self.tensors[name]
        for start in range(0, stored.size, size):
            yield partial(self._bytes, stored.start + start, min(size, stored.size - start))

    def _bytes(self, start: int, size: int) -> torch.Tensor:
        import torch

        buffer = torch.empty(size, dtype=torch.uint8)
        view = memoryview(buffer.numpy().data)
        while view:
            count = os.preadv(self._file.fileno(), [view], start)
            if count == 0:
                raise StepError(f"{self.path}: became shorter while it was read; copy or download it again")
            view, start = view[count:], start + count
        return buffer


def torch_dtype(name: str) -> torch.dtype:
    """torch's dtype for one of FLOATS."""
    import torch

    return getattr(torch, FLOATS[name])
