"""A few processes that work through a list, results in its order, with little in flight. One process works without any.

A worker ends when the step does, however that ends.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import connection
from typing import TypeVar

from steps.shared.contract import StepError

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers(contextlib.AbstractContextManager["Workers"]):
    """`count` processes; what they work on travels by pickle.

    They take turns: the nth item of one list is worked on where the nth of another was, so that a process may keep
    something of one for the other.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._processes: list[ProcessPoolExecutor] = []

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """
        Raises:
            StepError: a worker was ended from outside.
        """
        if self._count == 1:
            yield from map(function, items)
            return
        if not self._processes:
            context = multiprocessing.get_context(_start_method())
            start = partial(ProcessPoolExecutor, 1, mp_context=context, initializer=_end_with_parent)
            self._processes = [start() for _ in range(self._count)]
        waiting: deque[Future[Result]] = deque()
        try:
            for process, item in zip(itertools.cycle(self._processes), items):
                waiting.append(process.submit(function, item))
                if len(waiting) > self._count + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise StepError(
                f"a worker process was ended from outside, perhaps for want of memory; "
                f"use fewer than {self._count} --workers, or a larger instance"
            ) from None

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.shutdown(cancel_futures=True)


def _start_method() -> str:
    """A fork starts at once, but would copy locks that other threads hold, and not the threads."""
    return "fork" if sys.platform == "linux" and threading.active_count() == 1 else "spawn"


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
