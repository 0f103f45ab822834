"""Which model a folder holds, by hashes that take seconds even where the weights are large."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from steps.shared import contract
from steps.shared.weights.safetensors_file import read_header

BLOCK = 4096  # bytes
BLOCKS = 16  # read of every tensor


def identity(folder: Path) -> dict[str, str]:
    """A hash of every file that decides what the model computes: configuration, weights, code that comes with it.

    Of a weight file are taken its size, its header (every tensor's name, type, shape and place) and of every tensor 16
    blocks of 4 KiB, spread evenly from its first byte to its last. Reading all would take as long as loading the model
    a second time, a minute for 70B and more; a training changes every value of the tensors that it trains, so the
    blocks differ. A change of single rows in a large tensor, such as a few tokens' embeddings, can stay unseen.

    Raises:
        StepError: a file of weights is not whole.
    """
    files = [folder / "config.json", *sorted(folder.glob("*.py")), *sorted(folder.glob("*.safetensors"))]
    return {path.name: of_file(path) for path in files}


def of_file(path: Path) -> str:
    """One file's hash in `identity`."""
    return _sampled(path) if path.suffix == ".safetensors" else contract.sha256(path)


def _sampled(path: Path) -> str:
    tensors, size = read_header(path), path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(min(length, size))
        digest.update(header)
        for tensor in sorted(tensors.values(), key=lambda tensor: tensor.start):
            for at in spread(tensor.size):
                file.seek(tensor.start + at)
                digest.update(file.read(min(BLOCK, tensor.size - at)))
    return digest.hexdigest()


def spread(size: int) -> Iterator[int]:
    """Where the blocks of a tensor of `size` bytes begin: all of it where it is small, else evenly, both ends taken."""
    if size <= BLOCK * BLOCKS:
        yield from range(0, size, BLOCK)
        return
    for index in range(BLOCKS):
        yield (size - BLOCK) * index // (BLOCKS - 1)
