"""Raw preference files to a training set on this machine: read, convert, drop duplicates, split, write, report.

Rows stream through the worker processes, a shard at a time. What grows with the data here is an id of 16 bytes a row:
when all rows are written, the ids tell which are duplicates or contradict each other, and the parts that hold such
rows are written again without them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from steps.contract import StepError
from steps.preprocess import output
from steps.preprocess.baseline import Baseline
from steps.preprocess.figures import Figures
from steps.preprocess.ids import FOLDER, ID, write_ids
from steps.preprocess.inputs import find_data
from steps.preprocess.near import near_duplicates
from steps.preprocess.options import Options
from steps.preprocess.packing import Files, local_shards, total_size
from steps.preprocess.report import Report
from steps.preprocess.settle import BUCKETS, KEEP, NEAR_DUPLICATE, bucket_of, data_hash, settle
from steps.preprocess.shards import QUARANTINE, Shard, Sorted, Verdicts, convert_shard, prompt_keys, write_parts
from steps.preprocess.sources import BLOCK_BYTES
from steps.preprocess.tally import Tally
from steps.preprocess.workers import Workers, cores
from steps.records import part_name

PARALLEL_FROM = 2 * BLOCK_BYTES  # less is done before worker processes have started


def preprocess(options: Options) -> Report:
    """Run the step and return its report; the output appears whole, or not at all.

    Raises:
        StepError: nothing to read, too many invalid rows, or a side of the split without a row.
    """
    options.check()
    data = find_data(options.input, options.validation_data)
    baseline = Baseline.read(options.baseline) if options.baseline else None
    staging = output.prepare(options.output)
    try:
        size = total_size([*data.files, *data.validation])
        with Workers((options.workers or cores()) if size > PARALLEL_FROM else 1) as workers:
            run = _Run(options, staging, workers)
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


class _Run:
    """The rows on their way. Shards leave their parts below `staging`, and their index in staging/index."""

    def __init__(self, options: Options, staging: Path, workers: Workers) -> None:
        self._options, self._rules = options, options.rules()
        self._staging, self._workers = staging, workers
        self._sizes: dict[int, int] = {}  # of the shards' indexes, by number, in order
        self._signatures: list[np.ndarray] = []
        self._prompt_keys: list[np.ndarray] = []
        self.tally, self.figures, self.data_hash = Tally(), Figures(), ""
        (staging / "index").mkdir()

    def convert(self, files: Files, validation: Files) -> None:
        """Convert all rows; those of a validation set first, since its prompts leave the others."""
        shards = partial(local_shards, rules=self._rules, shard_bytes=self._options.shard_bytes)
        keys: set[bytes] = set()
        for result in self._converted(shards(validation, side="validation"), set()):
            keys.update(prompt_keys(result.index))
        side = "train" if validation else None
        for _ in self._converted(shards(files, first=len(self._sizes), side=side), keys):
            pass

    def _converted(self, shards: Iterator[Shard], held_out: set[bytes]) -> Iterator[Sorted]:
        work = partial(convert_shard, rules=self._rules, held_out=held_out, folder=self._staging)
        for result in self._workers.map(work, shards):
            self.tally.merge(result.tally)
            self._sizes[result.number] = len(result.index)
            np.save(self._index_file(result.number), result.index)
            if self._rules.near_duplicates and result.signatures is not None:
                self._signatures.append(result.signatures)
                self._prompt_keys.append(result.index["prompt_key"].copy())
            yield result

    def _index_file(self, number: int) -> Path:
        return self._staging / "index" / f"{number}.npy"

    def settle(self) -> None:
        """Find the rows that may not stay, take them out, and take the figures of the others."""
        verdicts = self._verdicts()
        for tally in self._workers.map(partial(write_parts, folder=self._staging), self._judged(verdicts)):
            self.tally.merge(tally)

    def _indexes(self) -> Iterator[tuple[int, slice, np.ndarray]]:
        """Each shard's number, where its rows are among all, and its index."""
        start = 0
        for number, size in self._sizes.items():
            yield number, slice(start, start + size), np.load(self._index_file(number))
            start += size

    def _judged(self, verdicts: np.ndarray) -> Iterator[Verdicts]:
        for number, rows, index in self._indexes():
            self.figures.add(index[verdicts[rows] == KEEP], self._options.units)
            yield Verdicts(number, verdicts[rows], index["flags"])

    def _verdicts(self) -> np.ndarray:
        """A verdict for each row kept so far, in their order; writes the ids of those that stay."""
        ids = np.empty((sum(self._sizes.values()), 2), ID)
        for _, rows, index in self._indexes():
            ids[rows] = index["id"]
        verdicts = np.zeros(len(ids), np.uint8)
        if self._signatures:
            near = near_duplicates(
                np.concatenate(self._prompt_keys), np.concatenate(self._signatures), self._options.near_duplicates
            )
            verdicts[near] = NEAR_DUPLICATE
        buckets = bucket_of(ids)
        digests = []

        def kept() -> Iterator[np.ndarray]:
            for bucket in range(BUCKETS):
                rows = np.flatnonzero((buckets == bucket) & (verdicts == KEEP))
                settled = settle(ids[rows])
                verdicts[rows] = settled.verdicts
                digests.append(settled.digest)
                yield settled.kept

        write_ids(self._staging / "report" / FOLDER / part_name(0), kept())
        self.data_hash = data_hash(digests)
        return verdicts
