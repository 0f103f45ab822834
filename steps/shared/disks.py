"""What the operating system refused, in words: which file, which disk, and what to do about it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)


def is_full(error: OSError) -> bool:
    """Whether the disk, or this user's share of it, is full."""
    return error.errno in FULL


def told(error: OSError, near: Path | None = None) -> str:
    """An error as one line.

    Args:
        near: a path on the disk that is meant where the error names none, as for a write to an open file.
    """
    named = error.filename2 or error.filename
    place = Path(os.fsdecode(named)) if isinstance(named, str | bytes) else near
    what = error.strerror or str(error)
    if place is None:
        return f"{what}; make room, then run it again" if is_full(error) else what
    if is_full(error):
        disk = mount(place)
        free = shutil.disk_usage(disk).free
        return f"{place}: the disk {disk} is full ({free / 1e6:.0f} MB free); make room there, then run it again"
    if error.errno == errno.EROFS:
        return f"{place}: the disk {mount(place)} is read-only; make it writable, or use another place"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{place}: this user has no permission to read or write it ({what})"
    return f"{place}: {what}"


def refused(error: BaseException) -> str | None:
    """What a disk refused where that is behind an error, of a library that hides it too; None for any other error."""
    for one in _chain(error):
        if isinstance(one, OSError) and one.errno in (*FULL, errno.EROFS, errno.EACCES, errno.EPERM):
            return told(one)
        if not isinstance(one, OSError) and os.strerror(errno.ENOSPC) in str(one):
            return f"{os.strerror(errno.ENOSPC)} ({str(one).splitlines()[0]}); make room, then run it again"
    return None


def _chain(error: BaseException) -> list[BaseException]:
    """An error and those behind it."""
    chain: list[BaseException] = []
    found: BaseException | None = error
    while found is not None and found not in chain:
        chain.append(found)
        found = found.__cause__ or found.__context__
    return chain


@contextlib.contextmanager
def filling(folder: Path) -> Iterator[None]:
    """Have an error of a full disk name this folder, which is written to meanwhile, where it names no path."""
    try:
        yield
    except BaseException as error:
        for one in _chain(error):
            if isinstance(one, OSError) and is_full(one) and one.filename is None:
                one.filename = str(folder)
        raise


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have an error name this path where it names none, as that of a write to an open file does."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def mount(path: Path) -> Path:
    """Where the file system begins on which a path lies, or would lie."""
    path = Path(os.path.realpath(path))  # a link may lead to another disk
    return next(folder for folder in (path, *path.parents) if os.path.ismount(folder))
