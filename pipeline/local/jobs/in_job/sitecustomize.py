"""Refuses what a job's Python writes outside of its /opt/ml and /tmp: as a file system that is read-only elsewhere.

Python imports a module of this name whenever it starts, so what a job starts is covered too. LOCAL_WRITES has the
rules: {"PATH": whether one may write below it}; the longest path counts, and no rule means no. Without the variable
this does nothing.

Limits: sees what Python itself opens, makes, renames, links and removes. What compiled libraries and other programs
write (Java, sqlite's journals, the caches of CUDA) is not seen; a relative path with a `dir_fd` is taken for one of the
working folder in `os.open`; nor is a Python that was started with -I, -E or -S.
Python's own __pycache__ and devices may be written. Standard library only: it runs before everything else.
"""

from __future__ import annotations

import errno
import importlib.machinery
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

VARIABLE = "LOCAL_WRITES"
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Event -> (the path's place among the event's values, the place of the folder's number that it starts from).
_CHANGES: dict[str, list[tuple[int, int | None]]] = {
    "os.chmod": [(0, 2)],
    "os.link": [(1, 3)],
    "os.mkdir": [(0, 2)],
    "os.remove": [(0, 1)],
    "os.rename": [(0, 2), (1, 3)],
    "os.rmdir": [(0, 1)],
    "os.symlink": [(1, 2)],
    "os.truncate": [(0, None)],
    "os.utime": [(0, 3)],
    "sqlite3.connect": [(0, None)],
}
_FREE = {"/dev": True, "/proc": True}


def refusing(rules: Mapping[str, bool]) -> Callable[[str, tuple[Any, ...]], None]:
    """An audit hook that refuses writes by these rules.

    Raises:
        OSError: by the hook, with the errno of a read-only file system.
    """
    known = {os.path.realpath(path): allowed for path, allowed in (_FREE | dict(rules)).items()}

    def hook(event: str, values: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = values
            if (flags & _WRITING if isinstance(flags, int) else 0) or (mode and set(mode) & set("wax+")):
                look(path, None)
        elif event in ("os.remove", "os.rmdir") and values[1] < 0 and not os.path.lexists(values[0]):
            return  # nothing is there, which the call will say itself
        elif event in _CHANGES:
            for path_at, folder_at in _CHANGES[event]:
                look(values[path_at], None if folder_at is None else values[folder_at])

    def look(path: object, folder: int | None) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return  # a number: the file was opened before, and looked at then
        text = os.fsdecode(path)
        if text in ("", ":memory:") or text.startswith("file:"):
            return  # databases that are no file, or are named by a URI
        if folder is not None and folder >= 0:
            if not os.path.isdir("/proc/self/fd"):
                return  # macOS: only Linux says which folder a number is
            text = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), text)
        real = os.path.join(os.path.realpath(os.path.dirname(text) or "."), os.path.basename(text))
        if not may_write(real, known):
            reason = "a job may write below /opt/ml (not into its inputs) and /tmp only, and not here"
            raise OSError(errno.EROFS, reason, text)

    return hook


def may_write(real: str, rules: Mapping[str, bool]) -> bool:
    """Whether the rule of the longest path allows it."""
    if f"{os.sep}__pycache__{os.sep}" in real or real.endswith(f"{os.sep}__pycache__"):
        return True
    place = real
    while place not in rules:
        above = os.path.dirname(place)
        if above == place:
            return False
        place = above
    return rules[place]


def _load_the_next_one() -> None:
    """This module hides another one of its name further down the path, which Python would have loaded."""
    own = os.path.dirname(os.path.abspath(__file__))
    rest = [path for path in sys.path if os.path.abspath(path) != own]
    found = importlib.machinery.PathFinder.find_spec("sitecustomize", rest)
    if found and found.loader:
        found.loader.exec_module(importlib.util.module_from_spec(found))


if VARIABLE in os.environ:
    sys.addaudithook(refusing(json.loads(os.environ[VARIABLE])))
    if __name__ == "sitecustomize":
        _load_the_next_one()
