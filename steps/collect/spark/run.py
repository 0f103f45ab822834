"""Collect on Spark: captures are looked at, and rows made, by a cluster; the same bytes as the Python engine's.

What a line tells by itself is found by executors, a share of the files at a time; this process holds the feedback,
joins what was spoken of in the order of the lines, and writes the output, as the Python engine does. So its memory
grows with the feedback, and never with the captures. Expects the input at the same path on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pyspark import RDD, SparkContext, StorageLevel

from steps.collect.answers import Answer
from steps.collect.captures import CaptureFiles
from steps.collect.collect import collect
from steps.collect.join.join import Join
from steps.collect.join.look import Terms
from steps.collect.options import Options
from steps.collect.pairs import Pair
from steps.collect.redact import Redactor
from steps.collect.report import Report
from steps.collect.spark.shares import SHARE_BYTES, in_order, look_at, make, shares
from steps.preprocess.read.inputs import find_inputs
from steps.preprocess.read.sources import read_rows
from steps.preprocess.spark.errors import own_error

PARTITIONS = 8  # for each task that runs at a time


@own_error()
def collect_on_spark(options: Options, spark: SparkContext, share_bytes: int = SHARE_BYTES) -> Report:
    """As `steps.collect.collect.collect`, with the same errors."""
    return collect(options, SparkEngine(spark, share_bytes))


class SparkEngine:
    """The processes of a cluster (`steps.collect.join.engine.Engine`)."""

    def __init__(self, spark: SparkContext, share_bytes: int) -> None:
        self._spark, self._share_bytes = spark, share_bytes

    def join(self, files: CaptureFiles, terms: Terms, join: Join) -> None:
        self._spark.setJobDescription("join")  # what Spark's page and event log call the jobs
        parts = shares(files, self._share_bytes)
        given = self._spark.broadcast((files, Terms(frozenset(terms.spoken_of), terms.max_age_days, terms.now)))
        found = self._spread(parts).mapPartitions(lambda some: look_at(some, *given.value)).collect()
        for seen in in_order(zip(parts, found, strict=True)):
            join.passed(seen.passed)
            for looked in seen.looked:
                join.add(looked)

    def count_rows(self, path: Path) -> int:
        self._spark.setJobDescription("count")
        return int(self._spread(find_inputs(path).files).map(_rows_of).sum())

    def rows(
        self, files: CaptureFiles, items: Sequence[Pair | Answer], options: Options, redactor: Redactor
    ) -> Iterator[bytes]:
        """Made by executors, kept on their disks, and brought here a part at a time."""
        self._spark.setJobDescription("write")
        given = self._spark.broadcast((files, options))
        made = self._spread(items).mapPartitions(lambda some: make(some, *given.value))
        made.persist(StorageLevel.DISK_ONLY)
        for counts in made.map(lambda one: one.redacted).collect():  # makes all of them, many at a time
            redactor.counts.update(counts)
        yield from (one.lines for one in made.toLocalIterator())
        made.unpersist()

    def _spread(self, items: Sequence[Any]) -> RDD[Any]:
        return self._spark.parallelize(items, max(1, min(len(items), PARTITIONS * self._spark.defaultParallelism)))


def _rows_of(named: tuple[str, Path]) -> int:
    return sum(1 for _ in read_rows(*named))
