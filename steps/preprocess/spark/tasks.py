"""What Spark's executors do: both passes over a share of the rows, and what is told between them, bucket by bucket.

Functions of plain data, which run.py strings together; nothing here imports Spark. They are the Python engine's
functions on the Python engine's shards, so that both engines write the same files. What travels between executors is
packed into bytes: ids, places of rows in their shard, verdicts.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from steps.preprocess.duplicates.ids import FOLDER, ID, compare, write_ids
from steps.preprocess.duplicates.settle import KEEP, bucket_of, settle
from steps.preprocess.read.sources import RowGroups, Segment, Stream
from steps.preprocess.report.figures import Figures
from steps.preprocess.rows.rules import Rules
from steps.preprocess.shards.from_files import Rows, read_stream
from steps.preprocess.shards.output import STAGING
from steps.preprocess.shards.shard import SIDES, ConvertedShard, RowSource, Shard, Verdicts, prompt_keys
from steps.preprocess.shards.shard_worker import QUARANTINE, ShardWorker, start_worker
from steps.preprocess.shards.tally import Tally
from steps.shared.contract import StepError
from steps.shared.records import part_name

PLACE = np.dtype("<u4")


class Chunk(NamedTuple):
    """The nth share of a file that has to be read from its start: as many rows as come to a shard."""

    stream: Stream
    number: int
    size: int


Piece = Segment | RowGroups | Chunk
Task = tuple[Shard[Piece], ...]  # what one process works through: a shard, or all that need the same file's beginning


@dataclass(frozen=True)
class Work:
    """What every task needs to know. `held_out`: the keys of the prompts of a validation set that the user brings."""

    rules: Rules
    shard_bytes: int
    output: Path
    units: tuple[str, ...]
    held_out: Set[bytes] = frozenset()


class Dropped(NamedTuple):
    """Verdicts on some rows of a shard, and their places in its index."""

    shard: int
    places: bytes
    verdicts: bytes


class Ids(NamedTuple):
    """Ids of one bucket that one shard has, their places in its index, and which of their prompts are near others."""

    shard: int
    places: bytes
    ids: bytes
    near: bytes


class Bucket(NamedTuple):
    """A bucket when it is settled: a digest of the ids that stay, these ids, and the rows that do not."""

    number: int
    digest: bytes
    kept: bytes
    dropped: list[Dropped]


def chunk_sizes(stream: Stream, shard_bytes: int) -> list[int]:
    """The sizes of a file's chunks."""
    return [rows.size for rows in read_stream(stream, shard_bytes)]


def tasks_of(shards: Iterable[Shard[Piece]]) -> list[Task]:
    """Shards in their order, those together that have chunks of the same file: it is then read once."""
    tasks: list[list[Shard[Piece]]] = []
    for shard in shards:
        goes_on = any(isinstance(source, Chunk) and source.number > 0 for source, _ in shard.sources)
        if goes_on:
            tasks[-1].append(shard)
        else:
            tasks.append([shard])
    return [tuple(task) for task in tasks]


def convert_only(task: Task, work: Work) -> Iterator[ConvertedShard]:
    """The first pass over a task's shards: nothing is written."""
    return convert_task(task, work, start_worker(work.rules, None))


def convert_task(task: Task, work: Work, worker: ShardWorker) -> Iterator[ConvertedShard]:
    """Convert a task's shards, one after the other; the worker keeps the rows of those that it gave."""
    streams: dict[Stream, Iterator[Rows]] = {}
    for shard in task:
        sources = tuple((_readable(source, work.shard_bytes, streams), name) for source, name in shard.sources)
        held_out = frozenset() if shard.side == "validation" else work.held_out
        yield worker.convert(Shard(shard.number, sources, shard.side), held_out)
    for stream, rest in streams.items():
        if next(rest, None) is not None:
            raise _changed(stream)


def _readable(source: Piece, shard_bytes: int, streams: dict[Stream, Iterator[Rows]]) -> RowSource:
    if not isinstance(source, Chunk):
        return source
    rows = next(streams.setdefault(source.stream, read_stream(source.stream, shard_bytes)), None)
    if rows is None or rows.size != source.size:
        raise _changed(source.stream)
    return rows


def _changed(stream: Stream) -> StepError:
    return StepError(f"{stream.path}: changed while it was read; run again when it is complete")


def ids_by_bucket(result: ConvertedShard, near: Set[bytes]) -> Iterator[tuple[int, Ids]]:
    """The ids of a shard's rows by their bucket; `near` are the 16-byte keys of prompts that are near-duplicates."""
    ids = result.index["id"]
    is_near = np.fromiter((key in near for key in prompt_keys(result.index)), bool, len(ids))
    for bucket, places in _by_bucket(bucket_of(ids)):
        columns = (places.astype(PLACE), ids[places], is_near[places])
        yield bucket, Ids(result.number, *(column.tobytes() for column in columns))


def _by_bucket(buckets: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The buckets that something is in, and where it stands, in its order."""
    order = np.argsort(buckets, kind="stable")
    numbers, starts = np.unique(buckets[order], return_index=True)
    ends = [*starts[1:], len(order)]
    yield from ((number, order[start:end]) for number, start, end in zip(numbers.tolist(), starts, ends, strict=False))


def settle_bucket(number: int, parts: Iterable[Ids]) -> Bucket:
    """Duplicates and contradictions of a bucket, from all that the shards have of it."""
    parts = sorted(parts)
    ids = np.frombuffer(b"".join(part.ids for part in parts), ID).reshape(-1, 2)
    settled = settle(ids, np.frombuffer(b"".join(part.near for part in parts), bool))
    dropped, start = [], 0
    for part in parts:
        places = np.frombuffer(part.places, PLACE)
        verdicts = settled.verdicts[start : start + len(places)]
        start += len(places)
        out = verdicts != KEEP
        if out.any():
            dropped.append(Dropped(part.shard, places[out].tobytes(), verdicts[out].tobytes()))
    return Bucket(number, settled.digest, settled.kept.astype(ID).tobytes(), dropped)


def empty_digest() -> bytes:
    """The digest of a bucket that no row fell into."""
    return settle(np.zeros((0, 2), ID), np.zeros(0, bool)).digest


def ids_of_file(ids: np.ndarray) -> Iterator[tuple[int, bytes]]:
    """Ids (dtype ID, shape (n, 2)) by their bucket, as bytes."""
    for bucket, chosen in _by_bucket(bucket_of(ids)):
        yield bucket, ids[chosen].astype(ID).tobytes()


def new_and_vanished(own: Iterable[bytes], baseline: Iterable[bytes]) -> dict[str, int]:
    """How a bucket's ids differ from an earlier run's: see `ids.compare`."""
    both = (np.frombuffer(b"".join(parts), ID).reshape(-1, 2) for parts in (own, baseline))
    return compare(*both)


def keep_ids(number: int, buckets: Iterable[Bucket], output: Path) -> Iterator[int]:
    """Write the ids of some buckets beside the report; gives how many there were."""
    kept = [np.frombuffer(bucket.kept, ID).reshape(-1, 2) for bucket in sorted(buckets)]
    count = sum(map(len, kept))
    if count == 0:
        return
    with _Folder(output) as folder:
        write_ids(folder / part_name(number), kept)
        _place(folder / part_name(number), output / "report" / FOLDER)
    yield count


def write_tasks(groups: Iterable[tuple[int, Iterable[Task | Dropped]]], work: Work) -> Iterator[tuple[Tally, Figures]]:
    """`write_task` for some tasks in their order, each in a group with its drops; what they return, as one."""
    tally, figures = Tally(), Figures()
    for _, group in sorted(groups, key=lambda entry: entry[0]):
        of_task = list(group)
        (task,) = (entry for entry in of_task if not isinstance(entry, Dropped))
        changes, kept = write_task(task, (entry for entry in of_task if isinstance(entry, Dropped)), work)
        tally.merge(changes)
        figures.merge(kept)
    yield tally, figures


def write_task(task: Task, dropped: Iterable[Dropped], work: Work) -> tuple[Tally, Figures]:
    """Convert a task's shards again, into this machine's output folder, without the rows that are not to stay.

    A part depends on its rows alone and appears whole, so it does no harm when a task runs twice, here or elsewhere.

    Returns:
        what dropping changes in the counts, and the figures of the rows that stay.
    """
    by_shard: dict[int, list[Dropped]] = {}
    for drop in dropped:
        by_shard.setdefault(drop.shard, []).append(drop)
    tally, figures = Tally(), Figures()
    with _Folder(work.output) as folder:
        worker = start_worker(work.rules, folder)
        for result in convert_task(task, work, worker):
            verdicts = np.zeros(len(result.index), np.uint8)
            for drop in by_shard.get(result.number, []):
                verdicts[np.frombuffer(drop.places, PLACE)] = np.frombuffer(drop.verdicts, np.uint8)
            tally.merge(worker.write(Verdicts(result.number, verdicts, result.index["flags"])))
            figures.add(result.index[verdicts == KEEP], work.units)
            for name in (*SIDES, QUARANTINE):
                for file in sorted(folder.glob(f"{name}/*")):
                    _place(file, work.output / name)
    return tally, figures


class _Folder:
    """A folder of one attempt's own, on the output's disk and outside of what is uploaded; gone after the block."""

    def __init__(self, output: Path) -> None:
        self._path = output / STAGING / uuid.uuid4().hex

    def __enter__(self) -> Path:
        self._path.mkdir(parents=True)
        return self._path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._path, ignore_errors=True)


def _place(file: Path, folder: Path) -> None:
    """Move a finished file; SageMaker may have mounted the folder, which a rename does not cross."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        os.replace(file, folder / file.name)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        beside = folder / f".{file.name}.{uuid.uuid4().hex[:8]}"
        shutil.copyfile(file, beside)
        os.replace(beside, folder / file.name)
        file.unlink()


def remove_parts(output: Path) -> None:
    """Take back what this machine has written of a run that failed."""
    for folder in (*(output / name for name in (*SIDES, QUARANTINE)), output / "report" / FOLDER):
        for file in folder.glob("*"):
            file.unlink(missing_ok=True)
    shutil.rmtree(output / STAGING, ignore_errors=True)


def merged(results: Iterable[ConvertedShard]) -> Iterator[Tally]:
    """The counts of some shards, in their order, as one."""
    tally = Tally()
    for result in results:
        tally.merge(result.tally)
    yield tally


def dropped_by_task(bucket: Bucket, task_of: Mapping[int, int]) -> Iterator[tuple[int, Dropped]]:
    """A bucket's drops with the task whose shards they are of."""
    for drop in bucket.dropped:
        yield task_of[drop.shard], drop
