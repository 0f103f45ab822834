"""Raw preference files to a training set on this machine: read, convert, drop duplicates, split, write, report.

Rows stream through the worker processes, a shard at a time. A worker converts a shard and keeps its rows; this process
tells from their ids which of them came in an earlier shard, and the same worker writes the others. Memory grows with
these ids alone, 16 bytes a row. What only all rows together tell, contradictions and prompts that are nearly the same,
is found at the end; the parts that hold such rows are then written again without them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from steps.preprocess.duplicates.ids import FOLDER, ID, write_ids
from steps.preprocess.duplicates.near import near_duplicates
from steps.preprocess.duplicates.seen import Seen
from steps.preprocess.duplicates.settle import BUCKETS, DUPLICATE, KEEP, bucket_of, data_hash, settle
from steps.preprocess.options import Options
from steps.preprocess.read.inputs import find_data
from steps.preprocess.read.sources import BLOCK_BYTES
from steps.preprocess.report.baseline import Baseline
from steps.preprocess.report.figures import Figures
from steps.preprocess.report.report import Report
from steps.preprocess.shards import output
from steps.preprocess.shards.from_files import Files, local_shards, total_size
from steps.preprocess.shards.shard import RowSource, Shard, Side, Verdicts, prompt_keys
from steps.preprocess.shards.shard_worker import QUARANTINE, ShardWorker, start_worker
from steps.preprocess.shards.tally import Tally
from steps.preprocess.shards.workers import Workers, cores
from steps.shared.contract import StepError
from steps.shared.disks import filling
from steps.shared.folders import sole_writer
from steps.shared.records import part_name

PARALLEL_FROM = 2 * BLOCK_BYTES  # less is done before worker processes have started


def preprocess(options: Options) -> Report:
    """Run the step and return its report; the output appears whole, or not at all.

    Raises:
        StepError: another run writes to the output folder, nothing to read, too many invalid rows, or a side of the
            split without a row.
    """
    options.check()
    with filling(options.output), sole_writer(options.output):
        return _written(options)


def _written(options: Options) -> Report:
    data = find_data(
        options.input, options.validation_data, options.feedback_data, options.candidate_data, options.canary
    )
    baseline = Baseline.read(options.baseline) if options.baseline else None
    staging = output.prepare(options.output)
    try:
        size = total_size([*data.files, *data.validation])
        processes = (options.workers or cores()) if size > PARALLEL_FROM else 1
        with Workers(processes, partial(start_worker, options.rules(), staging)) as workers:
            run = _PythonEngine(options, staging, workers)
            run.convert(data.files, data.validation)
            run.settle()
        report = Report.of(run.tally, run.figures, run.data_hash, data, options)
        if baseline:
            report.drift = baseline.compare(report.as_json(), staging / "report")
        report.write(staging / "report")
        output.join_quarantine(staging / QUARANTINE)
        problem = report.problem()
        if problem:
            kept = output.keep_failed(options.output)
            where = f"\nThe rows and their reasons: {kept / output.QUARANTINE_FILE}" if run.tally.reasons else ""
            raise StepError(f"{options.input}: {problem}{where}")
        output.publish(options.output)
    finally:
        output.discard(options.output)
    return report


class _PythonEngine:
    """Takes the rows through the processes of this machine.

    Shards leave their parts below `staging`, and their index in staging/index.
    """

    def __init__(self, options: Options, staging: Path, workers: Workers[ShardWorker]) -> None:
        self._options, self._rules = options, options.rules()
        self._staging, self._workers = staging, workers
        self._seen = Seen()
        self._sizes: dict[int, int] = {}  # of the shards' indexes, by number, in order
        self._signatures: list[np.ndarray] = []
        self._prompt_keys: list[np.ndarray] = []
        self.tally, self.figures, self.data_hash = Tally(), Figures(), ""
        (staging / "index").mkdir()

    def convert(self, files: Files, validation: Files) -> None:
        """Convert all rows; those of a validation or canary set first, since its prompts leave the others."""
        shards = partial(local_shards, rules=self._rules, shard_bytes=self._options.shard_bytes)
        self._write(self._converted(shards(validation, side="validation"), frozenset()))
        held_out = frozenset(key for _, _, index in self._indexes() for key in prompt_keys(index))
        side: Side | None = "train" if self._options.validation_data else None
        self._write(self._converted(shards(files, first=len(self._sizes), side=side), held_out))

    def _converted(self, shards: Iterator[Shard[RowSource]], held_out: frozenset[bytes]) -> Iterator[Verdicts]:
        """Convert shards, and tell which of their rows came in an earlier one."""
        for result in self._workers.map(partial(ShardWorker.convert, held_out=held_out), shards):
            self.tally.merge(result.tally)
            repeated = self._seen.add(result.index["id"])
            index = result.index[~repeated]
            self._sizes[result.number] = len(index)
            np.save(self._index_file(result.number), index)
            if self._rules.near_duplicates and result.signatures is not None:
                self._signatures.append(result.signatures[~repeated])
                self._prompt_keys.append(index["prompt_key"].copy())
            yield Verdicts(result.number, np.where(repeated, DUPLICATE, KEEP), result.index["flags"])

    def _write(self, judged: Iterator[Verdicts]) -> None:
        for tally in self._workers.map(ShardWorker.write, judged):
            self.tally.merge(tally)

    def _index_file(self, number: int) -> Path:
        return self._staging / "index" / f"{number}.npy"

    def settle(self) -> None:
        """Take out the rows that may not stay with all others there, and take the figures of those that do."""
        self._seen = Seen()  # of no more use, and as large as what comes now
        self._write(self._judged(self._verdicts()))

    def _indexes(self) -> Iterator[tuple[int, slice, np.ndarray]]:
        """Each shard's number, where its rows are among all, and its index."""
        start = 0
        for number, size in self._sizes.items():
            yield number, slice(start, start + size), np.load(self._index_file(number))
            start += size

    def _judged(self, verdicts: np.ndarray) -> Iterator[Verdicts]:
        for number, rows, index in self._indexes():
            stays = verdicts[rows] == KEEP
            self.figures.add(index[stays], self._options.units)
            if not stays.all():
                yield Verdicts(number, verdicts[rows], index["flags"])

    def _verdicts(self) -> np.ndarray:
        """Verdicts on the rows kept so far, in order: uint8, shape (rows,). Writes the ids of those that stay."""
        ids = np.empty((sum(self._sizes.values()), 2), ID)
        for _, rows, index in self._indexes():
            ids[rows] = index["id"]
        near = np.zeros(len(ids), bool)
        threshold = self._options.near_duplicates
        if threshold is not None and self._signatures:
            near[:] = near_duplicates(np.concatenate(self._prompt_keys), np.concatenate(self._signatures), threshold)
        buckets = bucket_of(ids)
        verdicts = np.empty(len(ids), np.uint8)
        digests = []

        def kept() -> Iterator[np.ndarray]:
            for bucket in range(BUCKETS):
                rows = np.flatnonzero(buckets == bucket)
                settled = settle(ids[rows], near[rows])
                verdicts[rows] = settled.verdicts
                digests.append(settled.digest)
                yield settled.kept

        write_ids(self._staging / "report" / FOLDER / part_name(0), kept())
        self.data_hash = data_hash(digests)
        return verdicts
