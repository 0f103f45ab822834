"""Write a file that the disk begins to take at once, so that little is left to wait for when it must be whole.

The system by itself keeps what is written in memory for seconds. `sync_file_range` asks for its writing back and waits
for nothing; it is a hint: fsync is what makes a file durable, and a system without the call only takes longer there.
"""

from __future__ import annotations

import ctypes
from io import FileIO

EVERY = 8 << 20  # bytes
START_WRITING_BACK = 2  # SYNC_FILE_RANGE_WRITE of <fcntl.h>


class EarlyWriter:
    """Writes to a file from its beginning on."""

    def __init__(self, file: FileIO) -> None:
        self._file, self._asked, self._end = file, 0, 0
        self._ask = getattr(ctypes.CDLL(None), "sync_file_range", None)

    def write(self, view: memoryview) -> None:
        while view:
            count = self._file.write(view)
            view, self._end = view[count:], self._end + count
        if self._end - self._asked >= EVERY and self._ask:
            size = self._end - self._asked
            self._ask(self._file.fileno(), ctypes.c_int64(self._asked), ctypes.c_int64(size), START_WRITING_BACK)
            self._asked = self._end
