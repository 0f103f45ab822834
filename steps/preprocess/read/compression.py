"""What a file's bytes are wrapped in, told by its first bytes alone, and its text, a chunk at a time.

Compressed files are read to their end or not at all: one that was cut off, or damaged where its checksum shows it, is
an error. Knows nothing of rows, and does not read archives (.zip, .tar).
"""

from __future__ import annotations

import contextlib
import gzip
import re
import zlib
from collections.abc import Iterator
from enum import Enum, auto
from pathlib import Path
from typing import BinaryIO, Protocol

import pyarrow as pa

from steps.shared.contract import StepError

BOM = b"\xef\xbb\xbf"
HEAD_BYTES = 4
PACKED = (".gz", ".zst", ".parquet")


class Container(Enum):
    PLAIN = auto()
    GZIP = auto()
    ZSTD = auto()
    PARQUET = auto()


MAGIC = {
    Container.GZIP: re.compile(rb"\x1f\x8b"),
    Container.ZSTD: re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),  # a frame, or one to skip
    Container.PARQUET: re.compile(rb"PAR[1E]"),  # E: its footer is encrypted
}


def container_of(path: Path) -> Container:
    """
    Raises:
        StepError: the file cannot be read, or is empty where its name says that it is compressed.
    """
    with readable(path), open(path, "rb") as file:
        head = file.read(HEAD_BYTES)
    if not head and path.name.lower().endswith(PACKED):
        raise StepError(f"{path}: is empty, which no compressed file is; copy the file again")
    return _container(head)


def _container(head: bytes) -> Container:
    return next((container for container, magic in MAGIC.items() if magic.match(head)), Container.PLAIN)


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what the libraries raise over a damaged or unreadable file into the step's error."""
    try:
        yield
    except (OSError, EOFError, zlib.error, pa.ArrowException, UnicodeDecodeError) as error:
        raise StepError(f"{path}: cannot be read to its end ({error}); copy the file again") from None


def text_chunks(path: Path, size: int) -> Iterator[bytes]:
    """The text of a plain, gzip or zstd file from its start, without a byte order mark, `size` bytes at a time.

    Raises:
        StepError: the file cannot be read or decompressed to its end, or holds another compressed file.
    """
    container = container_of(path)
    with readable(path), contextlib.ExitStack() as stack:
        stream = _unpacked(stack.enter_context(open(path, "rb")), container, stack)
        chunk = stream.read(max(size, HEAD_BYTES))
        if container is not Container.PLAIN and _container(chunk) is not Container.PLAIN:
            raise StepError(f"{path}: what is compressed in it is compressed itself, or Parquet; unpack it once")
        chunk = chunk.removeprefix(BOM) or stream.read(size)
        while chunk:
            yield chunk
            chunk = stream.read(size)


class _Stream(Protocol):
    """What an open file, gzip's and Arrow's have in common."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, `size` of them or fewer; none at the end."""


def _unpacked(file: BinaryIO, container: Container, stack: contextlib.ExitStack) -> _Stream:
    if container is Container.GZIP:
        return stack.enter_context(gzip.open(file))
    if container is Container.ZSTD:
        return stack.enter_context(pa.CompressedInputStream(file, "zstd"))
    return file
