"""Files that the first rank's node has and the other nodes need.

A job of several nodes has a disk on each of them. SageMaker fills every node's folder of checkpoints from S3 when the
job starts, and from then on only copies to S3: what one node writes never reaches another one's disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from steps.shared import contract
from steps.shared.contract import StepError
from steps.train.runtime import ranks

CHUNK = 1 << 26  # bytes that travel at a time


def share(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Give every node those files of the first rank's `folder` that its own lacks. All ranks must call it together.

    Args:
        folder: each rank's own; where it is the first rank's, or holds the same, it is left as it is.
        files: name -> SHA-256 of the files in the first rank's; the same on all ranks.

    Returns:
        The names of the files that a node lacked, or had with other bytes.

    Raises:
        StepError: a node cannot write one of them; on every rank.
    """
    receives = not ranks.is_first() and int(os.environ.get("LOCAL_RANK", "0")) == 0  # one process a node
    mine = {name for name, digest in files.items() if not _holds(folder / name, digest)} if receives else set()
    lacking = sorted(set().union(*ranks.gather(mine)))
    for name in lacking:
        reasons = ranks.gather(_take_part(folder / name, name in mine))
        if reason := next(filter(None, reasons), None):
            raise StepError(f"{folder.name}: {name} cannot be copied from the first node to another: {reason}")
    return lacking


def collect(folder: Path, name: str) -> None:
    """Bring each rank's small file, by its own `name` in its own `folder`, into the first rank's folder. All ranks must
    call it together.

    Raises:
        StepError: the first rank's disk is full; on every rank.
    """
    found = ranks.gather((name, (folder / name).read_bytes()))
    ranks.done_by_first(lambda: _write_missing(folder, found))


def _write_missing(folder: Path, files: Sequence[tuple[str, bytes]]) -> None:
    for file, content in files:
        if not (folder / file).exists():
            (folder / file).write_bytes(content)


def _holds(path: Path, digest: str) -> bool:
    return path.is_file() and contract.sha256(path) == digest


def _take_part(path: Path, writes: bool) -> str | None:
    """In the sending of one file, and write it beside its place and then rename it, where this rank `writes`.

    Returns:
        Why it cannot be written. Even then this rank takes part to the end: the others would wait for it.
    """
    beside, chunks = path.with_name(path.name + ".tmp"), _sent(path)
    try:
        if writes:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(beside, "wb") as file:
                file.writelines(chunks)
            os.replace(beside, path)
    except OSError as error:
        return contract.first_line(error)
    finally:
        for _ in chunks:
            pass
    return None


def _sent(path: Path) -> Iterator[bytes]:
    """The first rank's file, in chunks, on every rank."""
    with open(path if ranks.is_first() else os.devnull, "rb") as file:
        while chunk := ranks.from_first(file.read(CHUNK)):
            yield chunk
