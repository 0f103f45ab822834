"""What a worker keeps of a shard between converting and writing it is its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from steps.preprocess.duplicates.settle import DUPLICATE, KEEP
from steps.preprocess.read.sources import Segment
from steps.preprocess.rows.rules import Rules
from steps.preprocess.shards.shard import Shard, Verdicts
from steps.preprocess.shards.shard_worker import ShardWorker
from steps.shared.records import read_records


def shard_of(folder: Path, rows: int) -> Shard[Segment]:
    path = folder / "data.jsonl"
    path.write_text(
        "".join(json.dumps({"prompt": f"p{n}", "chosen": "a", "rejected": "b"}) + "\n" for n in range(rows))
    )
    return Shard(0, ((Segment(path.name, path, 0, path.stat().st_size, 1), "plain"),), side="train")


def test_rows_wait_for_their_verdicts_in_the_worker_that_converted_them(tmp_path):
    shard = shard_of(tmp_path, 9)
    workers = [ShardWorker(Rules(), tmp_path / name) for name in ("one", "two")]
    results = [worker.convert(shard, frozenset()) for worker in workers]
    for worker, result, dropped in zip(workers, results, (0, 8), strict=True):
        verdicts = np.full(9, KEEP)
        verdicts[dropped] = DUPLICATE
        assert worker.write(Verdicts(0, verdicts, result.index["flags"])).duplicate == 1
    lines = [[record.source_line for record in read_records(tmp_path / name / "train")] for name in ("one", "two")]
    assert lines == [[*range(2, 10)], [*range(1, 9)]]


def test_a_part_is_written_again_from_its_file_once_its_rows_are_gone(tmp_path):
    worker = ShardWorker(Rules(), tmp_path / "out")
    index = worker.convert(shard_of(tmp_path, 5), frozenset()).index
    worker.write(Verdicts(0, np.full(5, KEEP), index["flags"]))
    worker.write(Verdicts(0, np.array([KEEP, DUPLICATE, KEEP, KEEP, KEEP]), index["flags"]))
    assert [record.source_line for record in read_records(tmp_path / "out" / "train")] == [1, 3, 4, 5]


def test_a_worker_without_a_folder_converts_only(tmp_path):
    worker = ShardWorker(Rules(), None)
    result = worker.convert(shard_of(tmp_path, 5), frozenset())
    assert len(result.index) == result.tally.kept == 5 and sorted(tmp_path.iterdir()) == [tmp_path / "data.jsonl"]
    with pytest.raises(RuntimeError, match="without a folder cannot write"):
        worker.write(Verdicts(0, np.full(5, KEEP), result.index["flags"]))
