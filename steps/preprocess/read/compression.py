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

from steps.preprocess.read.foreign import BOM, SNIFFED, foreign
from steps.shared.contract import StepError

PACKED = (".gz", ".zst", ".parquet", ".arrow", ".feather")
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")  # in no text


class Container(Enum):
    PLAIN = auto()
    GZIP = auto()
    ZSTD = auto()
    PARQUET = auto()
    ARROW = auto()


MAGIC = {
    Container.GZIP: re.compile(rb"\x1f\x8b"),
    Container.ZSTD: re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),  # a frame, or one to skip
    Container.PARQUET: re.compile(rb"PAR[1E]"),  # E: its footer is encrypted
    Container.ARROW: re.compile(rb"ARROW1|\xff\xff\xff\xff(?s:.){3}\x00"),  # a file, or a stream's first message
}


def container_of(path: Path) -> Container:
    """
    Raises:
        StepError: the file cannot be read, is no data but something that has a name, or is not what it is called.
    """
    with readable(path), open(path, "rb") as file:
        head = file.read(SNIFFED)
    container = _container(head)
    if container is Container.PLAIN:
        _check_plain(path, head)
    return container


def _check_plain(path: Path, head: bytes) -> None:
    said = foreign(head)
    if said:
        raise StepError(f"{path}: {said}")
    suffix = path.suffix.lower()
    if suffix not in PACKED:
        return
    if not head:
        raise StepError(f"{path}: is empty, which no compressed file is; copy the file again")
    unpacked_table = path.stem.lower().endswith((".csv", ".tsv")) and not CONTROL.search(head)
    if unpacked_table or head.removeprefix(BOM).lstrip().startswith((b"{", b"[")):
        return  # somebody unpacked it on the way, and kept the name
    if suffix == ".parquet":
        raise StepError(f"{path}: this Parquet file is damaged: it does not begin as one does; copy the file again")
    raise StepError(f"{path}: does not begin as a {suffix} file does; it is damaged, or another file: copy it again")


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

    The first bytes, by which the file is told, come by themselves.

    Raises:
        StepError: the file cannot be read or decompressed to its end, or holds another compressed file, or what is no
            data.
    """
    container = container_of(path)
    with readable(path), contextlib.ExitStack() as stack:
        stream = _unpacked(stack.enter_context(open(path, "rb")), container, stack)
        head = _first_bytes(stream)
        if container is not Container.PLAIN:
            _check_unpacked(path, head)
        head = head.removeprefix(BOM)
        yield from (head[at : at + size] for at in range(0, len(head), size))
        while chunk := stream.read(size):
            yield chunk


class _Stream(Protocol):
    """What an open file, gzip's and Arrow's have in common."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, `size` of them or fewer; none at the end."""


def _first_bytes(stream: _Stream) -> bytes:
    head = b""
    while len(head) < SNIFFED and (more := stream.read(SNIFFED - len(head))):
        head += more
    return head


def _check_unpacked(path: Path, head: bytes) -> None:
    if _container(head) is not Container.PLAIN:
        raise StepError(f"{path}: what is compressed in it is compressed itself, or Parquet or Arrow; unpack it once")
    said = foreign(head)
    if said:
        raise StepError(f"{path}: what is compressed in it {said}")


def _unpacked(file: BinaryIO, container: Container, stack: contextlib.ExitStack) -> _Stream:
    if container is Container.GZIP:
        return stack.enter_context(gzip.open(file))
    if container is Container.ZSTD:
        return stack.enter_context(pa.CompressedInputStream(file, "zstd"))
    return file
