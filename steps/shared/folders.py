"""Folders of this machine: every file below one, and one process at a time that writes to one.

The first is one rule for all that reads folders, `start` and the steps alike: links are followed, and a folder that
cannot be entered is an error, never left out. Imports the standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from steps.shared.contract import StepError

TRIES = 3  # at a folder that is not there once it was made; /proc, or a deleted working folder, never has it


def walk(folder: Path, skip: Callable[[str], bool] = lambda name: False) -> Iterator[tuple[Path, list[str]]]:
    """Each folder from `folder` down, and the names of its files, in the order of names.

    A link to a folder that it lies in is left out, since it has no end; so is what is deleted meanwhile.

    Args:
        skip: whether a folder of that name is left alone, with all that it holds.

    Raises:
        OSError: a folder cannot be entered; `filename` is its path.
    """
    above: dict[str, tuple[str, ...]] = {
        str(folder): (os.path.realpath(folder),)
    }  # real paths, of it and of those above
    for here, folders, names in os.walk(folder, onerror=_raise, followlinks=True):
        chain = above.pop(here)
        real = {name: os.path.realpath(os.path.join(here, name)) for name in sorted(folders) if not skip(name)}
        folders[:] = [name for name, path in real.items() if path not in chain]
        above.update({os.path.join(here, name): (*chain, real[name]) for name in folders})
        yield Path(here), sorted(names)


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


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
