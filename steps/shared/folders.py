"""Folders of this machine: every file below one, and one process at a time that writes to one or holds its lock.

The first is one rule for all that reads folders, `start` and the steps alike: links are followed, and a folder that
cannot be entered is an error, never left out. Imports the standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from steps.shared.contract import StepError

TRIES = 3  # at a folder that is not there once it was made; /proc, or a deleted working folder, never has it


def walk(folder: Path, skip: Callable[[str], bool] = lambda name: False) -> Iterator[tuple[Path, list[str]]]:
    """Each folder from `folder` down, and the names of its files, in the order of names.

    Links are followed, and each real folder is there once: by its own name where it lies below `folder`, or below a
    linked folder that is walked already, else by the first in the order of names. So the walk ends, however folders
    link to each other. What is deleted meanwhile is left out.

    Args:
        skip: whether a folder of that name is left alone, with all that it holds.

    Raises:
        OSError: a folder cannot be entered; `filename` is its path.
    """
    seen: set[str] = set()  # real paths
    starts: set[str] = set()  # real paths of `folder` and of what is linked to, each walked down
    for here, folders, names in os.walk(folder, onerror=_raise, followlinks=True):
        real = os.path.realpath(here)
        linked = not starts or os.path.islink(here)
        if real in seen or (linked and _is_walked_anyway(real, starts, skip)):
            folders.clear()
            continue
        seen.add(real)
        if linked:
            starts.add(real)
        folders[:] = sorted(name for name in folders if not skip(name))
        yield Path(here), sorted(names)


def _is_walked_anyway(real: str, starts: set[str], skip: Callable[[str], bool]) -> bool:
    """Whether a real folder is reached from a start above it without a link and without a name that is left alone."""
    path = Path(real)
    while path != path.parent and not skip(path.name):
        path = path.parent
        if str(path) in starts:
            return True
    return False


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold a folder's lock: whoever wants it too waits. It ends with its process, whatever ended that."""
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


@contextlib.contextmanager
def sole_writer(folder: Path, option: str = "--output") -> Iterator[None]:
    """Hold an output folder until this process, and those that it forks, are done with it.

    It is made where there is none, and removed again where nothing came of it. Limits: on a file system without locks
    nothing is held, which is then printed.

    Args:
        option: by which a user names the folder, for messages.

    Raises:
        StepError: another process holds it, or it cannot be made.
    """
    made = not folder.exists()
    number = _held(folder, option)
    try:
        yield
    finally:
        if made:
            with contextlib.suppress(OSError):  # something is in it
                folder.rmdir()
        os.close(number)


def _held(folder: Path, option: str) -> int:
    """The folder opened and locked; its lock is that of the folder that lies there now."""
    tries = 0
    while True:
        tries += 1
        try:
            folder.mkdir(parents=True, exist_ok=True)
            number = os.open(folder, os.O_RDONLY)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and tries < TRIES:
                continue  # removed in between, by another run that left nothing
            raise StepError(f"{folder}: cannot write there ({error.strerror}); give another {option}") from None
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(number)
            raise StepError(
                f"{folder}: another run writes there now; wait until it has ended, or give another {option}"
            ) from None
        except OSError as error:
            print(f"note: {folder} cannot be locked ({error.strerror}); let no second run write there", flush=True)
            return number
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(number), os.stat(folder)):
                return number
        os.close(number)


@contextlib.contextmanager
def staged(output: Path) -> Iterator[Path]:
    """A folder in which a step writes the parts of its output. They take the place of an earlier run's when the block
    ends well; otherwise nothing of them stays. Whoever writes holds the folder (`sole_writer`)."""
    staging = output / ".staging"
    shutil.rmtree(staging, ignore_errors=True)
    try:
        yield staging
        for part in staging.iterdir():
            shutil.rmtree(output / part.name, ignore_errors=True)
            part.rename(output / part.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def require_outside(output: Path, *sources: Path | None) -> None:
    """Raises StepError where an output folder lies in a folder that is read: it would add to it."""
    for source in filter(None, sources):
        if output.resolve().is_relative_to(source.resolve()):
            raise StepError(f"--output {output}: lies in {source}, which it would add to; give another folder")
