"""Safetensors files: what one holds and where, told from its header, and its tensors read one at a time.

Files are read, not mapped: the pages of a mapped file would count as this process's memory. torch is imported only by
what reads a tensor.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
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

    Tensors that it makes lie in memory of their own, at an address that torch aligns.
    """

    def __init__(self, path: Path, tensors: dict[str, Stored]) -> None:
        self.path, self.tensors = path, tensors
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 (closed by __exit__)
        os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)

    def __enter__(self) -> TensorFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def header_size(self) -> int:
        """Bytes before the tensors'."""
        return min((stored.start for stored in self.tensors.values()), default=self.path.stat().st_size)

    def tensor(self, name: str) -> torch.Tensor:
        """A whole tensor of floats, in the dtype and shape that its header says."""
        stored = self.tensors[name]
        return self._made(stored.start, stored.size, stored.dtype).view(stored.shape)

    def rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Some rows of a tensor of floats: shape (stop - start, columns). Dimensions before the last count as rows."""
        first, size = self._span(name, start, stop)
        return self._made(first, size, self.tensors[name].dtype).view(stop - start, -1)

    def read_rows(self, name: str, start: int, stop: int, into: torch.Tensor) -> None:
        """The same rows into a tensor of their dtype and size, which need not be aligned."""
        import torch

        first, size = self._span(name, start, stop)
        self.read(first, into.view(-1).view(torch.uint8)[:size])

    def read(self, start: int, into: torch.Tensor) -> None:
        """Bytes of the file from `start` on, whatever they are, into a tensor: uint8, shape (bytes,)."""
        view = memoryview(into.numpy().data)
        while view:
            count = os.preadv(self._file.fileno(), [view], start)
            if count == 0:
                raise StepError(f"{self.path}: became shorter while it was read; copy or download it again")
            view, start = view[count:], start + count

    def _span(self, name: str, start: int, stop: int) -> tuple[int, int]:
        """First byte and size of some rows."""
        stored = self.tensors[name]
        width = stored.size // max(math.prod(stored.shape[:-1]), 1)
        return stored.start + start * width, (stop - start) * width

    def _made(self, start: int, size: int, dtype: str) -> torch.Tensor:
        import torch

        buffer = torch.empty(size, dtype=torch.uint8)
        self.read(start, buffer)
        return buffer.view(torch_dtype(dtype))


def torch_dtype(name: str) -> torch.dtype:
    """torch's dtype for one of FLOATS."""
    import torch

    return getattr(torch, FLOATS[name])
