"""Tasks side by side in threads that no process waits for: what does not answer in time keeps nobody waiting.

`concurrent.futures` joins its threads when Python ends, however long the calls in them hang; daemon threads are left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Event, Thread
from time import monotonic
from typing import TypeVar

_Result = TypeVar("_Result")


def run(tasks: Sequence[Callable[[], _Result]], threads: int, seconds: float) -> list[_Result | None]:
    """The results in the order of the tasks; None for each that has not ended after so many seconds.

    Args:
        tasks: must raise nothing; one that does has no result.
        threads: how many tasks run at the same time.
    """
    waiting, ended = SimpleQueue[int](), SimpleQueue[tuple[int, _Result]]()
    over = Event()

    def work() -> None:
        while not over.is_set():
            try:
                index = waiting.get_nowait()
            except Empty:
                return
            ended.put((index, tasks[index]()))

    for index in range(len(tasks)):
        waiting.put(index)
    for _ in range(min(threads, len(tasks))):
        Thread(target=work, daemon=True).start()
    results: list[_Result | None] = [None] * len(tasks)
    end = monotonic() + seconds
    for _ in tasks:
        try:
            index, result = ended.get(timeout=max(0.0, end - monotonic()))
        except Empty:
            break
        results[index] = result
    over.set()
    return results
