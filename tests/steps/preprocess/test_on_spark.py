"""Both engines on the same data: the same files, counts and errors. On a local Spark session, and as real processes."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from pipeline.local.plan import spark as local_spark
from steps.preprocess import preprocess as python_engine
from steps.preprocess.duplicates.ids import read_ids
from steps.preprocess.layouts.formats import FORMATS
from steps.preprocess.options import Options
from steps.shared.contract import StepError
from tests.paths import ROOT

SAMPLES = ROOT / "tests" / "data" / "formats"
MISSING = next(iter(local_spark.problems()), None)
pytestmark = [pytest.mark.slow, pytest.mark.spark, pytest.mark.skipif(MISSING is not None, reason=str(MISSING))]
SHARD_BYTES = 8000  # so that every file is many shards


def pair(number: int, chosen: str = "yes", rejected: str = "no") -> dict[str, Any]:
    words = " ".join(f"word{number * 7 + n}" for n in range(24))
    return {"prompt": f"{number}: {words}", "chosen": f"{chosen} {number}", "rejected": f"{rejected} {number}"}


def near(number: int) -> dict[str, Any]:
    """A pair whose prompt is nearly that of `pair(number)`."""
    return pair(number, "sure") | {"prompt": pair(number)["prompt"] + " indeed"}


def text(rows: list[Any]) -> str:
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every container and layout; equal and contradictory rows, and near ones, far from each other; damaged rows."""
    folder = tmp_path_factory.mktemp("data")
    for sample in SAMPLES.iterdir():
        shutil.copy(sample, folder / sample.name)
    reversed_rows = [pair(n, "no", "yes") for n in range(20, 30)]
    (folder / "0.jsonl").write_text(text([pair(n) for n in range(120)] + ["not json", "[1]", "", pair(3)]))
    with gzip.open(folder / "1.jsonl.gz", "wt") as file:
        file.write(text([pair(n) for n in range(100, 220)] + [{"prompt": "only"}]))
    (folder / "2.json").write_text(json.dumps([pair(n) for n in range(200, 300)] + reversed_rows, indent=1))
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "3.jsonl.zst").write_bytes(
        pa.compress(text([near(n) for n in range(40)] * 2).encode(), codec="zstd", asbytes=True)
    )
    pq.write_table(
        pa.Table.from_pylist([pair(n) for n in range(250, 340)]), folder / "a" / "4.parquet", row_group_size=9
    )
    for number in range(4):
        with gzip.open(folder / "a" / f"small{number}.json.gz", "wt") as file:
            file.write(text([pair(number), pair(1000 + number)]))
    table = pa.Table.from_pylist([pair(n) for n in range(600, 690)])
    csv.write_csv(table, folder / "5.csv")
    with pa.ipc.new_stream(str(folder / "6.arrow"), table.schema) as writer:
        writer.write_table(table.slice(50), max_chunksize=7)
    (folder / "7.json").write_text(json.dumps({"data": [pair(n) for n in range(640, 720)]}))
    (folder / "8.json").write_text("".join(json.dumps(pair(n)) for n in range(700, 760)))
    own = [pair(n) | {"chat_template_kwargs": {"effort": n % 3}} for n in range(100, 160)]
    (folder / "9.jsonl").write_text(text([*own, own[0] | {"chosen": "no 100", "rejected": "yes 100"}]))
    (folder / "README.md").write_text("not data")
    return folder


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    from steps.preprocess.on_spark import context

    os.environ.update(local_spark.java_home())
    with context() as made:
        made.setLogLevel("OFF")
        yield made


def both(spark: Any, tmp_path: Path, **options: Any) -> tuple[Path, Path]:
    """The outputs of the two engines."""
    from steps.preprocess.spark import run as spark_engine

    outputs = tmp_path / "python", tmp_path / "spark"
    options = {"shard_bytes": SHARD_BYTES, "max_invalid_fraction": 1.0, **options}
    python_engine.preprocess(Options(output=outputs[0], **options))
    spark_engine.preprocess(Options(output=outputs[1], **options), spark)
    return outputs


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def quarantine(output: Path) -> list[str]:
    parts = sorted((output / "quarantine").iterdir(), key=lambda path: (path.name[:10], "dropped" in path.name))
    return [line for part in parts for line in part.read_text().splitlines()]


def report(output: Path) -> dict[str, Any]:
    return json.loads((output / "report" / "report.json").read_text())


def assert_same(python: Path, on_spark: Path) -> dict[str, Any]:
    for side in ("train", "validation"):
        assert contents(python / side) == contents(on_spark / side)
    assert quarantine(python) == quarantine(on_spark)
    assert sorted(read_ids(python / "report").tolist()) == sorted(read_ids(on_spark / "report").tolist())
    assert report(python) == report(on_spark)
    assert (python / "report" / "report.html").read_text() == (on_spark / "report" / "report.html").read_text()
    assert {path.name for path in on_spark.iterdir()} == {"train", "validation", "quarantine", "report"}
    return report(on_spark)


def test_both_engines_write_the_same_files(spark, data, tmp_path):
    outputs = both(spark, tmp_path, input=data)
    told = assert_same(*outputs)
    assert len(list((outputs[1] / "train").iterdir())) > 10
    assert len(told["formats"]) == len(FORMATS) and told["ignored_files"] == ["README.md"]
    assert told["rows"]["duplicate"] > 100 and told["reasons"]["contradictory"] == 22
    assert {"not_json", "wrong_type", "missing_field"} <= told["reasons"].keys()
    rows = told["rows"]
    assert rows["read"] == sum(rows[name] for name in ("train", "validation", "duplicate", "quarantined"))


def test_near_duplicates_a_validation_set_and_a_baseline_mean_the_same(spark, data, tmp_path):
    held_out, earlier = tmp_path / "held-out.jsonl", tmp_path / "earlier"
    held_out.write_text(text([pair(n) for n in range(10)] + [pair(n) for n in range(5000, 5100)] + ["{"]))
    python_engine.preprocess(Options(data / "0.jsonl", earlier))
    options = {"validation_data": held_out, "baseline": earlier / "report", "near_duplicates": 0.7}
    told = assert_same(*both(spark, tmp_path, input=data, **options))
    assert told["reasons"]["near_duplicate"] >= 30
    assert told["reasons"]["leaked"] >= 10 and told["rows"]["validation"] == 110
    assert told["baseline"]["rows"]["kept"] > 50 and told["baseline"]["rows"]["vanished"] >= 10


def test_the_ids_of_a_run_on_spark_are_a_baseline_for_both(spark, data, tmp_path):
    _, first = both(spark, tmp_path, input=data / "0.jsonl")
    assert len(list((first / "report" / "ids").iterdir())) > 1
    told = assert_same(*both(spark, tmp_path / "again", input=data / "1.jsonl.gz", baseline=first / "report"))
    assert told["baseline"]["rows"] == {"new": 100, "kept": 20, "vanished": 100}


def test_lengths_in_tokens_are_the_same(spark, data, tiny_model, tmp_path):
    told = assert_same(*both(spark, tmp_path, input=data / "0.jsonl", tokenizer=tiny_model, max_tokens=100))
    assert told["reasons"]["too_long"] > 0 and told["lengths"]["tokens"]["pair"]["count"] > 0


def test_a_failing_run_leaves_nothing_that_looks_whole(spark, data, tmp_path):
    messages = []
    from steps.preprocess.spark import run as spark_engine

    for name, engine in (("python", python_engine.preprocess), ("spark", lambda o: spark_engine.preprocess(o, spark))):
        options = Options(data, tmp_path / name, shard_bytes=SHARD_BYTES, max_invalid_fraction=0.0)
        with pytest.raises(StepError, match=r"rows .* are invalid; 0\.0% are allowed") as error:
            engine(options)
        messages.append(str(error.value).replace(str(tmp_path / name), "OUTPUT"))
    assert messages[0] == messages[1]
    failed = [contents(tmp_path / name / "failed")["quarantine.jsonl"] for name in ("python", "spark")]
    assert failed[0] == failed[1] != b""
    files = {path for path in (tmp_path / "spark").rglob("*") if path.is_file()}
    assert all("failed" in path.parts for path in files)


def test_an_unreadable_file_is_the_same_one_line_from_any_executor(spark, tmp_path):
    from steps.preprocess.spark import run as spark_engine

    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(gzip.compress(text([pair(n) for n in range(500)]).encode())[:-200])
    with pytest.raises(StepError) as expected:
        python_engine.preprocess(Options(path, tmp_path / "python"))
    with pytest.raises(StepError) as error:
        spark_engine.preprocess(Options(path, tmp_path / "spark"), spark)
    assert str(error.value) == str(expected.value)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert not [file for file in (tmp_path / "spark").rglob("*") if file.is_file()]


def submit(*words: Any, opt_ml: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **local_spark.environment(opt_ml), "OPT_ML": str(opt_ml), "PYTHONPATH": ""}
    command = [*local_spark.submit()[:-1], "local-cluster[2,1,1024]", ROOT / "steps" / "preprocess" / "on_spark.py"]
    return subprocess.run(
        [str(word) for word in (*command, *words)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_spark_submit_runs_it_over_executors_of_their_own_from_any_folder(data, tmp_path):
    """`local-cluster`: each executor is a process of its own with a folder of its own, as on YARN."""
    python_engine.preprocess(Options(data, tmp_path / "python", shard_bytes=50_000, max_invalid_fraction=1.0))
    (tmp_path / "ml").mkdir()
    words = ("--input", os.path.relpath(data, tmp_path), "--output", "spark", "--shard-bytes", 50_000)
    done = submit(*words, "--max-invalid-fraction", 1, opt_ml=tmp_path / "ml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 tasks at a time" in done.stdout and f"report: {tmp_path}/spark/report/report.html" in done.stdout
    assert_same(tmp_path / "python", tmp_path / "spark")


OVERWRITES = """#!/bin/sh
"{python}" -m steps.preprocess.on_spark "$@"
code=$?
[ $code = 0 ] || printf 'Algorithm Error: command returned exit status %s' $code > "$OPT_ML/output/message"
exit $code
"""


def test_the_reason_of_a_failure_survives_the_images_own_command(data, tmp_path):
    fake = tmp_path / "smspark-submit"
    fake.write_text(OVERWRITES.format(python=sys.executable))
    fake.chmod(0o755)
    (tmp_path / "ml").mkdir()
    environment = {**os.environ, "OPT_ML": str(tmp_path / "ml")}
    command = [
        sys.executable,
        "-m",
        "steps.preprocess.submit",
        str(fake),
        "--input",
        str(data),
        "--output",
        str(tmp_path),
    ]
    done = subprocess.run([*command, "--workers", "2"], cwd=ROOT, env=environment, capture_output=True, check=False)
    assert done.returncode == 1
    reason = "--workers: Spark decides on its processes itself; leave it out"
    assert (tmp_path / "ml" / "output" / "message").read_text() == reason
