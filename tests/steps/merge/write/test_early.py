"""What is written early is the whole of what was given, and the disk is asked for every part of it once."""

from __future__ import annotations

import ctypes
import io
import os
from pathlib import Path
from typing import Any

import pytest

from steps.merge.write import early
from steps.merge.write.early import EarlyWriter


class Library:
    """The C library: with `sync_file_range`, whose ranges it keeps, or without."""

    def __init__(self, *, has_it: bool) -> None:
        self.ranges: list[tuple[int, int]] = []
        if has_it:
            self.sync_file_range = self._ask

    def _ask(self, _: int, start: ctypes.c_int64, size: ctypes.c_int64, flags: int) -> int:
        assert flags == 2
        self.ranges.append((start.value, size.value))
        return -1  # a file system without it: no reason to stop


@pytest.fixture(params=[True, False])
def library(request, monkeypatch) -> Library:
    made = Library(has_it=request.param)
    monkeypatch.setattr(early.ctypes, "CDLL", lambda _: made)
    monkeypatch.setattr(early, "EVERY", 100)
    return made


def test_ranges_follow_each_other_and_the_file_is_what_was_given(library, tmp_path: Path) -> None:
    content = os.urandom(1000)
    with open(tmp_path / "file", "wb", buffering=0) as file:
        writer = EarlyWriter(file)
        for start, stop in ((0, 30), (30, 99), (99, 100), (100, 100), (100, 700), (700, 750), (750, 1000)):
            writer.write(memoryview(content)[start:stop])
    assert (tmp_path / "file").read_bytes() == content
    assert library.ranges == ([(0, 100), (100, 600), (700, 300)] if hasattr(library, "sync_file_range") else [])


def test_what_the_system_takes_in_pieces_is_written_whole() -> None:
    class Slow(io.RawIOBase):
        taken = b""

        def write(self, view: Any) -> int:
            self.taken += bytes(view[:7])
            return min(len(view), 7)

    file = Slow()
    EarlyWriter(file).write(memoryview(b"twenty bytes of data"))  # type: ignore[arg-type]
    assert file.taken == b"twenty bytes of data"


def test_this_systems_library_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early, "EVERY", 1)
    with open(tmp_path / "file", "wb", buffering=0) as file:
        EarlyWriter(file).write(memoryview(bytes(10_000)))
    assert (tmp_path / "file").stat().st_size == 10_000
