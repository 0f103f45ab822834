"""A few processes that work through a list, results in its order, with little in flight. One is this process itself.

A worker process ends when the step does, however that ends.
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
from functools import cached_property
from multiprocessing import connection
from typing import Any, Generic, TypeVar

from steps.shared.contract import StepError

Own = TypeVar("Own")
Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers(contextlib.AbstractContextManager["Workers[Own]"], Generic[Own]):
    """`count` processes, each with an object of its own; what they work on travels by pickle.

    They take turns: the nth item of one list is worked on where the nth of another was, so that a process's object may
    keep something of one for the other.

    Args:
        make: makes the object, in its process, when that starts.
    """

    def __init__(self, count: int, make: Callable[[], Own]) -> None:
        self._count, self._make = count, make
        self._processes: list[ProcessPoolExecutor] = []

    @cached_property
    def _here(self) -> Own:
        """The object of the one process that works without others."""
        return self._make()

    def map(self, function: Callable[[Own, Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """What the function gives for each item, called with the object of the process that it is called in.

        Raises:
            StepError: a worker was ended from outside.
        """
        if self._count == 1:
            yield from (function(self._here, item) for item in items)
            return
        if not self._processes:
            context = multiprocessing.get_context(_start_method())
            self._processes = [
                ProcessPoolExecutor(1, context, initializer=_begin, initargs=(self._make,)) for _ in range(self._count)
            ]
        waiting: deque[Future[Result]] = deque()
        try:
            for process, item in zip(itertools.cycle(self._processes), items):
                waiting.append(process.submit(_call, function, item))
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


# In a worker process, the object that `_begin` made there: concurrent.futures hands it to nobody else.
_own: Any = None


def _begin(make: Callable[[], object]) -> None:
    """What a worker process does first."""
    global _own
    _end_with_parent()
    _own = make()


def _call(function: Callable[[Any, Item], Result], item: Item) -> Result:
    return function(_own, item)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("this is no worker process")

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
