"""What executors do, without Spark: tasks, second attempts, candidates for near-duplicates, memory."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.preprocess.duplicates.near import near_duplicates, signature
from steps.preprocess.duplicates.settle import DUPLICATE
from steps.preprocess.options import Options
from steps.preprocess.preprocess import preprocess
from steps.preprocess.read.sources import Segment, Stream
from steps.preprocess.rows.rules import Rules
from steps.preprocess.shards.shard import INDEX, ConvertedShard, Shard
from steps.preprocess.shards.tally import Tally
from steps.preprocess.spark import near
from steps.preprocess.spark.tasks import (
    Chunk,
    Dropped,
    Work,
    chunk_sizes,
    convert_only,
    ids_by_bucket,
    settle_bucket,
    tasks_of,
    write_task,
    write_tasks,
)
from steps.shared.contract import StepError


def stream(folder: Path, rows: int, chosen: str = "a") -> Stream:
    path = folder / "data.jsonl.gz"
    lines = [json.dumps({"prompt": f"p{n:03}", "chosen": chosen, "rejected": "b"}) for n in range(rows)]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return Stream(path.name, path, path.stat().st_size)


def shards_of(one: Stream, shard_bytes: int) -> list[Shard]:
    sizes = chunk_sizes(one, shard_bytes)
    return [Shard(number, ((Chunk(one, number, size), "plain"),)) for number, size in enumerate(sizes)]


def test_shards_that_need_the_same_beginning_are_one_task():
    one, two = (Stream(name, Path(name), 9) for name in ("one", "two"))
    segment = Segment("three", Path("three"), 0, 9, 1)
    pieces = [[segment], [Chunk(one, 0, 5)], [Chunk(one, 1, 2), Chunk(two, 0, 3)], [Chunk(two, 1, 5)], [segment]]
    shards = [Shard(number, tuple((piece, None) for piece in of_it)) for number, of_it in enumerate(pieces)]
    assert [[shard.number for shard in task] for task in tasks_of(shards)] == [[0], [1, 2, 3], [4]]


def test_a_task_gives_each_shard_its_own_rows(tmp_path):
    one = stream(tmp_path, 100)
    shards = shards_of(one, 500)
    (task,) = tasks_of(shards)
    results = list(convert_only(task, Work(Rules(), 500, tmp_path, ("characters",))))
    assert len(results) == len(shards) > 5
    assert sum(len(result.index) for result in results) == 100
    assert [result.tally.samples["plain"]["line"] for result in results][:2] == [1, 1 + len(results[0].index)]


@pytest.mark.parametrize("changed", [{"rows": 95}, {"rows": 105}, {"rows": 100, "chosen": "aa"}])
def test_a_file_that_changed_between_the_passes_is_an_error(tmp_path, changed):
    five_rows = 5 * len('{"prompt": "p000", "chosen": "a", "rejected": "b"}')
    (task,) = tasks_of(shards_of(stream(tmp_path, 100), five_rows))
    assert len(task) == 20
    stream(tmp_path, **changed)
    with pytest.raises(StepError, match="changed while it was read; run again when it is complete"):
        list(convert_only(task, Work(Rules(), five_rows, tmp_path, ("characters",))))


def test_a_second_attempt_leaves_the_same_files(tmp_path):
    (task,) = tasks_of(shards_of(stream(tmp_path, 100), 500))
    work = Work(Rules(), 500, tmp_path / "out", ("characters",))
    place, verdict = np.array([2], "<u4").tobytes(), bytes([DUPLICATE])
    dropped = [Dropped(1, place, verdict)]
    written = []
    for _ in range(2):
        tally, figures = write_task(task, dropped, work)
        assert (tally.kept, tally.duplicate, figures.train + figures.validation) == (-1, 1, 99)
        files = {path for path in (tmp_path / "out").rglob("*") if path.is_file()}
        written.append({path.relative_to(tmp_path): path.read_bytes() for path in files})
    assert written[0] == written[1] and len(written[0]) > 5
    assert not any(".incomplete" in str(path) for path in written[0])


def test_a_task_writes_rows_with_template_arguments_as_the_python_engine_does(tmp_path):
    given = [None, {"enable_thinking": False}, {"effort": "high"}]
    rows = [
        {"prompt": f"p{n}", "chosen": "a", "rejected": "b", "chat_template_kwargs": given[n % 3] if n > 20 else None}
        for n in range(60)
    ]
    data = tmp_path / "data.jsonl.gz"
    data.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    report = preprocess(Options(data, tmp_path / "python", shard_bytes=1000))
    one = Stream(data.name, data, data.stat().st_size)
    (task,) = tasks_of(shards_of(one, 1000))
    write_task(task, [], Work(Rules(), 1000, tmp_path / "spark", ("characters",)))
    for side in ("train", "validation"):
        python, spark = (
            {path.name: path.read_bytes() for path in (tmp_path / engine / side).iterdir()}
            for engine in ("python", "spark")
        )
        assert python == spark
    assert report.as_json()["rows_with_template_arguments"] == 26


def test_a_task_that_breaks_off_leaves_no_part_of_the_shard_it_was_at(tmp_path):
    one = stream(tmp_path, 100)
    (task,) = tasks_of(shards_of(one, 500))
    broken = (*task[:2], Shard(2, ((Segment("gone", tmp_path / "gone", 0, 9, 1), None),)))
    with pytest.raises(StepError):
        list(write_tasks([(0, [broken])], Work(Rules(), 500, tmp_path / "out", ("characters",))))
    parts = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert parts == {"part-00000.parquet", "part-00001.parquet"}


def result(number: int, ids: list[int], texts: list[str] | None = None) -> ConvertedShard:
    index = np.zeros(len(ids), INDEX)
    index["id"] = np.array([[value << 56, value] for value in ids], ">u8").reshape(-1, 2)
    if texts is None:
        return ConvertedShard(number, Tally(), index, None)
    for place, words in enumerate(texts):
        index["prompt_key"][place] = np.frombuffer(words.lower().encode().ljust(16)[-16:], ">u8")
    return ConvertedShard(number, Tally(), index, np.stack([signature(words) for words in texts]) if texts else None)


def test_a_buckets_verdicts_find_back_to_their_rows():
    """Ids 4 and 5 are each other's reverse; of the two 7s the one of the earlier shard stays."""
    shards = [result(1, [7, 4]), result(0, [9, 7, 5])]
    parts: dict[int, list] = {}
    for shard in shards:
        for bucket, ids in ids_by_bucket(shard, frozenset()):
            parts.setdefault(bucket, []).append(ids)
    assert sorted(parts) == [4, 5, 7, 9]
    (dropped,) = settle_bucket(7, parts[7]).dropped
    assert (dropped.shard, np.frombuffer(dropped.places, "<u4").tolist()) == (1, [0])


WORDS = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=9).map(" ".join)


@given(st.lists(st.lists(WORDS, max_size=8), min_size=1, max_size=4), st.sampled_from([0.5, 0.7, 0.9]))
def test_near_duplicates_over_shards_are_those_of_one_list(shards, threshold):
    results = [result(number, [0] * len(texts), texts) for number, texts in enumerate(shards)]
    parts: dict[int, list[bytes]] = {}
    for shard in results:
        for part, entries in near.bands(shard, threshold):
            parts.setdefault(part, []).append(entries)
    keys = {key for entries in parts.values() for key in near.shared(entries)}
    found = near.near_keys([one for shard in results for one in near.candidates(shard, keys)], threshold)

    full = [shard for shard in results if len(shard.index)]
    if full:
        index = np.concatenate([shard.index["prompt_key"] for shard in full])
        expected = near_duplicates(index, np.concatenate([shard.signatures for shard in full]), threshold)
        all_keys = [
            key
            for shard in full
            for key in np.ascontiguousarray(shard.index["prompt_key"]).view("V16").ravel().tolist()
        ]
        assert found == {key for key, is_near in zip(all_keys, expected, strict=True) if is_near}
    else:
        assert found == frozenset()


def test_python_gets_most_of_an_executors_memory():
    on_spark = pytest.importorskip("steps.preprocess.on_spark", reason="pyspark is not installed")
    assert on_spark.executor_memory("27g", "3g") == [
        ("spark.executor.memory", "7680m"),
        ("spark.executor.memoryOverhead", "23040m"),
    ]
    with pytest.raises(StepError, match="'much' is no amount of memory"):
        on_spark.executor_memory("much", "3g")
