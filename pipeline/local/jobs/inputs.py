"""Whether a job left its inputs as they were: what cannot be prevented for a process is looked at afterwards.

Files of inputs are read-only, which root passes over, and `in_job` refuses what Python writes there. Limits: a change
that keeps size, time and inode is not seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pipeline.settings.content import relative_files

Listing = dict[Path, tuple[int, int, int]]


def listing(folders: Iterable[Path]) -> Listing:
    """Every file below the folders with its size in bytes, its time of change in nanoseconds and its inode."""
    files = (path for folder in folders for path in relative_files(folder).values())
    return {path: (facts.st_size, facts.st_mtime_ns, facts.st_ino) for path in files for facts in [path.stat()]}


def changed(before: Listing, after: Listing) -> Path | None:
    """The first file that is new, gone or different; None where there is none."""
    names = sorted(before.keys() | after.keys())
    return next((path for path in names if before.get(path) != after.get(path)), None)
