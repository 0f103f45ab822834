"""Both engines on the same lines: the same bytes, counts and errors; on a local Spark session, and as processes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.local.plan import spark as local_spark
from steps.collect.collect import collect
from steps.collect.options import Options
from steps.shared.contract import StepError
from tests.paths import ROOT
from tests.steps.collect import many_kinds

MISSING = next(iter(local_spark.problems()), None)
pytestmark = [pytest.mark.slow, pytest.mark.spark, pytest.mark.skipif(MISSING is not None, reason=str(MISSING))]
SHARE_BYTES = 50_000  # so that every file is many shares
NOW = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    from steps.preprocess.on_spark import context

    os.environ.update(local_spark.java_home())
    with context("dpo-collect") as made:
        made.setLogLevel("OFF")
        yield made


@pytest.mark.parametrize("share", [0.2, 1.0])
def test_both_engines_write_the_same_bytes(spark: Any, tmp_path: Path, share: float) -> None:
    from steps.collect.spark.run import collect_on_spark

    captures, feedback, data = many_kinds.make(tmp_path, 1200)
    options: dict[str, Any] = {"data": data, "max_feedback_share": share, "max_age_days": 30, "now": NOW}
    options |= {"redact": ("mail", "phone"), "redact_patterns": ("word ",)}
    python = collect(Options(captures, feedback, tmp_path / "python", **options))
    on_spark = collect_on_spark(Options(captures, feedback, tmp_path / "spark", **options), spark, SHARE_BYTES)

    assert many_kinds.contents(tmp_path / "python") == many_kinds.contents(tmp_path / "spark")
    assert python.summary() == on_spark.summary()
    assert on_spark.pairs > 50 and on_spark.redacted["mail"]


def test_nothing_captured_and_nothing_said_leaves_the_same_empty_outputs(spark: Any, tmp_path: Path) -> None:
    from steps.collect.spark.run import collect_on_spark

    collect(Options(tmp_path / "none", tmp_path / "nothing", tmp_path / "python"))
    collect_on_spark(Options(tmp_path / "none", tmp_path / "nothing", tmp_path / "spark"), spark)
    assert many_kinds.contents(tmp_path / "python") == many_kinds.contents(tmp_path / "spark")


def test_data_that_cannot_be_counted_is_the_same_one_line_and_leaves_nothing(spark: Any, tmp_path: Path) -> None:
    from steps.collect.spark.run import collect_on_spark

    captures, feedback, _ = many_kinds.make(tmp_path, 12)
    data = tmp_path / "data.jsonl.gz"
    data.write_bytes(b"no gzip")
    said = []
    for name, engine in (("python", collect), ("spark", lambda options: collect_on_spark(options, spark))):
        with pytest.raises(StepError) as error:
            engine(Options(captures, feedback, tmp_path / name, data=data, max_feedback_share=0.5))
        said.append(str(error.value))
        assert many_kinds.contents(tmp_path / name) == {}
    assert said[0] == said[1] and str(data) in said[0] and "\n" not in said[0]


def test_spark_submit_runs_it_over_executors_of_their_own_from_any_folder(tmp_path: Path) -> None:
    """`local-cluster`: each executor is a process of its own with a folder of its own, as on YARN."""
    captures, feedback, _ = many_kinds.make(tmp_path, 60)
    collect(Options(captures, feedback, tmp_path / "python", redact=("mail",)))
    (tmp_path / "ml").mkdir()
    application = ROOT / "steps" / "collect" / "spark" / "on_spark.py"
    command = [*local_spark.submit()[:-1], "local-cluster[2,1,1024]", str(application), "--output", "spark"]
    command += ["--captures", "captures", "--feedback", "feedback", "--redact", "mail"]
    environment = {**os.environ, **local_spark.environment(tmp_path / "ml"), "PYTHONPATH": ""}
    environment["OPT_ML"] = str(tmp_path / "ml")
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 tasks at a time" in done.stdout and "captures  " in done.stdout
    assert many_kinds.contents(tmp_path / "python") == many_kinds.contents(tmp_path / "spark")
