"""Preprocess on Spark: the Python engine's functions over many machines, with the same rows and counts as result.

Rows are converted twice. The first pass keeps of each row what the others need to know (its id, its prompt's key, where
asked a signature); from these the executors find what may not stay, a bucket of ids at a time. The second pass writes
the rows that stay, each part into the output folder of the machine that happens to make it: SageMaker uploads every
machine's. Through this process go counts, digests, the keys of a user's validation set and of near-duplicates, and
never rows. Expects the input at the same path on every machine.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark import RDD, SparkContext, StorageLevel

from steps.preprocess.duplicates import ids
from steps.preprocess.duplicates.settle import BUCKETS, data_hash
from steps.preprocess.options import Options
from steps.preprocess.read.inputs import find_data
from steps.preprocess.read.sources import Stream, count_lines, needs_lines, numbered, plan
from steps.preprocess.report.baseline import read_report
from steps.preprocess.report.drift import compare
from steps.preprocess.report.figures import Figures
from steps.preprocess.report.report import Report
from steps.preprocess.shards import output
from steps.preprocess.shards.from_files import Files, shards
from steps.preprocess.shards.shard import Side, prompt_keys
from steps.preprocess.shards.shard_worker import QUARANTINE
from steps.preprocess.shards.tally import Tally
from steps.preprocess.spark import near as near_prompts
from steps.preprocess.spark.tasks import (
    Chunk,
    Task,
    Work,
    chunk_sizes,
    convert_only,
    dropped_by_task,
    empty_digest,
    ids_by_bucket,
    ids_of_file,
    keep_ids,
    merged,
    new_and_vanished,
    remove_parts,
    settle_bucket,
    tasks_of,
    write_tasks,
)
from steps.shared.contract import StepError
from steps.shared.disks import filling
from steps.shared.folders import sole_writer

# How Python's traceback, which Spark quotes in Java's, names the step's own error.
OWN_ERROR = re.escape(f"{StepError.__module__}.{StepError.__qualname__}: ")
TOLD = re.compile(rf"^{OWN_ERROR}(.*?)\s*^\s*at org\.apache\.spark", re.DOTALL | re.MULTILINE)
PARTITIONS = 8  # of the rows, for each task that runs at a time; each of them brings its counts here


@contextlib.contextmanager
def _own_error() -> Iterator[None]:
    """Turn the step's own error, which comes from an executor inside a Java stack trace, back into what it was."""
    try:
        yield
    except Py4JJavaError as error:
        told = TOLD.search(str(error.java_exception))
        if told is None:
            raise
        raise StepError(told[1]) from None


@_own_error()
def preprocess(options: Options, spark: SparkContext) -> Report:
    """Run the step and return its report, which is written last.

    Raises:
        StepError: another run writes to the output folder, nothing to read, too many invalid rows, or a side of the
            split without a row.
    """
    options.check()
    with filling(options.output), sole_writer(options.output):
        return _written(options, spark)


def _written(options: Options, spark: SparkContext) -> Report:
    data = find_data(
        options.input, options.validation_data, options.feedback_data, options.candidate_data, options.canary
    )
    baseline = read_report(options.baseline) if options.baseline else None
    staging = output.prepare(options.output)
    run = _SparkEngine(options, spark)
    whole = False
    try:
        run.convert(data.files, data.validation)
        run.settle()
        run.write()
        report = Report.of(run.tally, run.figures, run.data_hash, data, options)
        if baseline:
            before, folder = baseline
            report.drift = compare(report.as_json(), before, run.rows_compared_with(folder))
        problem = report.problem()
        if problem:
            raise StepError(f"{options.input}: {problem}{_keep_failed(options.output, staging, report)}")
        _write_report(report, options.output / "report")
        whole = True
    finally:
        if not whole:
            run.remove_parts()
        output.discard(options.output)
    return report


def _write_report(report: Report, folder: Path) -> None:
    """Write it on this machine, which may have written no other part of the output."""
    folder.mkdir(parents=True, exist_ok=True)
    report.write(folder)


def _keep_failed(folder: Path, staging: Path, report: Report) -> str:
    """Keep what a failed run has to show, as far as it lies on this machine, and say where."""
    for part in sorted((folder / QUARANTINE).glob("*.jsonl")):
        os.replace(part, staging / QUARANTINE / part.name)
    output.join_quarantine(staging / QUARANTINE)
    report.write(staging / "report")
    kept = output.keep_failed(folder)
    return f"\nThe rows and their reasons: {kept / output.QUARANTINE_FILE}" if report.tally.reasons else ""


class _SparkEngine:
    """Takes the rows through the processes of a cluster."""

    def __init__(self, options: Options, spark: SparkContext) -> None:
        self._options, self._spark = options, spark
        self._work = Work(options.rules(), options.shard_bytes, options.output, options.units)
        self._tasks: list[Task] = []
        self._rows: RDD[Any] = spark.emptyRDD()
        self._settled: RDD[Any] = spark.emptyRDD()
        self._parts = min(BUCKETS, 2 * spark.defaultParallelism)
        self.tally, self.figures, self.data_hash = Tally(), Figures(), ""

    def convert(self, files: Files, validation: Files) -> None:
        """The first pass; over a validation or canary set first, since its prompts leave the others."""
        if validation:
            keys = self._convert(validation, "validation").map(lambda result: prompt_keys(result.index))
            self._work = replace(self._work, held_out=frozenset(key for part in keys.collect() for key in part))
        self._convert(files, "train" if self._options.validation_data else None)
        for tally in self._rows.mapPartitions(merged).collect():
            self.tally.merge(tally)

    def _convert(self, files: Files, side: Side | None) -> RDD[Any]:
        self._spark.setJobDescription("plan")  # what Spark's page and event log call the jobs
        tasks = self._plan(files, side)
        self._tasks += tasks
        self._spark.setJobDescription("convert")
        work = self._spark.broadcast(self._work)
        results = self._spread(tasks).flatMap(lambda task: convert_only(task, work.value))
        results.persist(StorageLevel.DISK_ONLY)
        self._rows = self._rows.union(results)
        return results

    def _plan(self, files: Files, side: Side | None) -> list[Task]:
        """The same shards as the Python engine's, in tasks. What has to be counted for that is counted by executors."""
        shard_bytes = self._options.shard_bytes
        sources = plan(files, shard_bytes)
        counts = self._spread(needs_lines(sources)).map(count_lines).collect()
        streams = [source for source in sources if isinstance(source, Stream)]
        sizes = self._spread(streams).map(partial(chunk_sizes, shard_bytes=shard_bytes)).collect()
        chunks = {
            stream: [Chunk(stream, number, size) for number, size in enumerate(of_it)]
            for stream, of_it in zip(streams, sizes, strict=True)
        }
        first = sum(map(len, self._tasks))
        lined = numbered(sources, counts)
        return tasks_of(shards(lined, chunks.__getitem__, self._work.rules, shard_bytes, first, side))

    def _spread(self, items: list[Any]) -> RDD[Any]:
        return self._spark.parallelize(items, self._partitions(len(items)))

    def _partitions(self, items: int) -> int:
        return max(1, min(items, PARTITIONS * self._spark.defaultParallelism))

    def settle(self) -> None:
        """Find the rows that may not stay, and the hash of the others."""
        self._spark.setJobDescription("settle")
        near = self._spark.broadcast(self._near_duplicates())
        buckets = self._rows.flatMap(lambda result: ids_by_bucket(result, near.value)).groupByKey(self._parts)
        self._settled = buckets.map(lambda bucket: settle_bucket(*bucket)).persist(StorageLevel.DISK_ONLY)
        digests = dict(self._settled.map(lambda bucket: (bucket.number, bucket.digest)).collect())
        self.data_hash = data_hash(digests.get(number, empty_digest()) for number in range(BUCKETS))

    def _near_duplicates(self) -> frozenset[bytes]:
        threshold = self._options.near_duplicates
        if threshold is None:
            return frozenset()
        parts = self._rows.flatMap(lambda result: near_prompts.bands(result, threshold)).groupByKey(self._parts)
        keys = parts.flatMap(lambda part: near_prompts.shared(part[1])).distinct(self._parts)
        among = self._spark.broadcast(frozenset(keys.collect()))
        found = self._rows.flatMap(lambda result: near_prompts.candidates(result, among.value)).collect()
        return near_prompts.near_keys(found, threshold)

    def write(self) -> None:
        """The second pass: every part of the output but the report itself."""
        self._spark.setJobDescription("write")
        folder = self._options.output
        work = self._spark.broadcast(self._work)
        count = len(self._tasks)
        partitions = self._partitions(count)
        task_of = self._spark.broadcast(
            {shard.number: number for number, task in enumerate(self._tasks) for shard in task}
        )
        dropped = self._settled.flatMap(lambda bucket: dropped_by_task(bucket, task_of.value))
        tasks = self._spread(list(enumerate(self._tasks)))
        grouped = tasks.union(dropped).groupByKey(partitions, lambda number: number * partitions // count)
        results = grouped.mapPartitions(lambda groups: write_tasks(groups, work.value)).collect()
        for tally, figures in results:
            self.tally.merge(tally)
            self.figures.merge(figures)
        self._settled.mapPartitionsWithIndex(lambda number, buckets: keep_ids(number, buckets, folder)).count()

    def rows_compared_with(self, folder: Path) -> dict[str, int] | None:
        """How many rows are new, kept and vanished compared with the report in a folder; None where it has no ids."""
        paths = sorted((folder / ids.FOLDER).glob("*.parquet"))
        if not paths:
            return None
        before = self._spread(paths).flatMap(lambda path: ids_of_file(ids.read_file(path)))
        own = self._settled.map(lambda bucket: (bucket.number, bucket.kept))
        counts = own.cogroup(before, self._parts).map(lambda bucket: new_and_vanished(*bucket[1]))
        total = Counter(new=0, kept=0, vanished=0)
        for found in counts.collect():
            total.update(found)
        return dict(total)

    def remove_parts(self) -> None:
        """Take back what was written, here, and as far as they can be reached on the other machines."""
        folder = self._options.output
        remove_parts(folder)
        machines = range(4 * self._spark.defaultParallelism)
        with contextlib.suppress(Py4JError):  # a cluster that is gone is no reason to hide why the run failed
            self._spread(list(machines)).foreach(lambda _: remove_parts(folder))
