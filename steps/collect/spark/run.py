"""Collect on Spark: captures are looked at, and rows made, by a cluster; the same bytes as the Python engine's.

What a line tells by itself is found by executors, a share of the files at a time; this process holds the feedback,
joins what was spoken of in the order of the lines, and writes the output, as the Python engine does. So its memory
grows with the feedback, and never with the captures. Expects the input at the same path on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pyspark import SparkContext

from steps.collect.answers import Answer
from steps.collect.captures import CaptureFiles
from steps.collect.collect import collect
from steps.collect.join.engine import rows_in
from steps.collect.join.join import Join
from steps.collect.join.look import Terms
from steps.collect.options import Options
from steps.collect.pairs import Pair
from steps.collect.redact import Redactor
from steps.collect.report import Report
from steps.collect.spark.shares import SHARE_BYTES, in_order, loads, look_at, make, shares
from steps.preprocess.read.inputs import find_inputs
from steps.preprocess.spark.errors import own_error

TASKS = 8  # of a job, for each that runs at a time
ITEMS = 1000  # of the output, in a task
Result = TypeVar("Result")


@own_error()
def collect_on_spark(options: Options, spark: SparkContext, share_bytes: int = SHARE_BYTES) -> Report:
    """As `steps.collect.collect.collect`, with the same errors."""
    return collect(options, SparkEngine(spark, share_bytes))


class SparkEngine:
    """The processes of a cluster (`steps.collect.join.engine.Engine`).

    Work goes out a job at a time, of some tasks for each that runs at once: so what comes back, and what of the pairs
    is on its way, never fills the memory of this machine's Java.
    """

    def __init__(self, spark: SparkContext, share_bytes: int) -> None:
        self._spark, self._share_bytes = spark, share_bytes

    def join(self, files: CaptureFiles, terms: Terms, join: Join) -> None:
        given = (files, Terms(frozenset(terms.spoken_of), terms.max_age_days, terms.now))
        parts = shares(files, self._share_bytes)
        found = self._done("join", look_at, loads(parts, self._share_bytes), given)
        for seen in in_order(zip(parts, found, strict=True)):
            join.passed(seen.passed)
            for looked in seen.looked:
                join.add(looked)

    def count_rows(self, path: Path) -> int:
        return sum(self._done("count", _rows_of, [[file] for file in find_inputs(path).files], ()))

    def rows(
        self, files: CaptureFiles, items: Sequence[Pair | Answer], options: Options, redactor: Redactor
    ) -> Iterator[bytes]:
        tasks = [items[at : at + ITEMS] for at in range(0, len(items), ITEMS)]
        for made in self._done("write", make, tasks, (files, options)):
            redactor.counts.update(made.redacted)
            yield made.lines

    def _done(
        self, job: str, work: Callable[..., Iterable[Result]], tasks: Sequence[Sequence[Any]], given: Sequence[Any]
    ) -> Iterator[Result]:
        """What executors make of tasks, in their order.

        Args:
            job: what Spark's page and event log call it.
            given: what `work` takes beside a task.
        """
        self._spark.setJobDescription(job)
        beside = self._spark.broadcast(given)
        together = TASKS * self._spark.defaultParallelism
        for at in range(0, len(tasks), together):
            some = tasks[at : at + together]
            yield from self._spark.parallelize(some, len(some)).flatMap(lambda one: work(one, *beside.value)).collect()


def _rows_of(files: Iterable[tuple[str, Path]]) -> Iterator[int]:
    yield rows_in(files)
