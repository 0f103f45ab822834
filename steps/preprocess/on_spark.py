"""Preprocess on Spark: the command line of `python -m steps.preprocess`, for data that is too much for one machine.

Command:  spark-submit steps/preprocess/on_spark.py --input PATH --output DIR   (see --help)
Inputs:   the data (and validation data, tokenizer, baseline) at the same path on every machine.
Outputs:  train/, validation/, quarantine/ and report/ as the Python engine's, spread over the machines' output folders;
          quarantine/ holds a file a shard instead of one, report/ids/ a few files instead of one.
Limits:   --workers means nothing here. On YARN the executors' memory, which SageMaker's Spark image gives to Java, goes
          to their Python processes for the most part, where the rows are.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # of a script it is its own folder, whose modules would hide others of the same name

from pyspark import SparkConf, SparkContext
from pyspark.java_gateway import launch_gateway

from steps.preprocess.as_given import as_given
from steps.preprocess.options import parse
from steps.preprocess.shards.shard_worker import return_freed_memory
from steps.preprocess.spark.run import preprocess
from steps.shared import contract
from steps.shared.contract import StepError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Given = TypeVar("Given", bound="DataclassInstance")
CONFIGURATION = [
    ("spark.executorEnv.PYTHONPATH", str(ROOT)),  # YARN starts executors without this process's environment
    ("spark.driver.maxResultSize", "0"),
    ("spark.ui.showConsoleProgress", "false"),
]
UNLESS_GIVEN = [("spark.ui.enabled", "false")]  # it listens on every interface; spark-submit --conf switches it on
MEMORY = (("spark.executor.memory", "1g"), ("spark.executor.memoryOverhead", "384m"))  # with Spark's defaults
JAVA_SHARE = 4  # Java gets a fourth of an executor's memory
SIZE = re.compile(r"(\d+)([kmgt]?)b?", re.IGNORECASE)
MEBIBYTES = {"k": 2**-10, "m": 1, "": 1, "g": 2**10, "t": 2**20}


def main() -> None:
    with as_given():
        _run()


def _run() -> None:
    return_freed_memory()
    options = absolute(parse(prog="spark-submit steps/preprocess/on_spark.py"))
    options.check()
    if options.workers is not None:
        raise StepError("--workers: Spark decides on its processes itself; leave it out")
    with context() as spark:
        spark.setLogLevel("WARN")
        print(f"Spark {spark.version} on {spark.master}, {spark.defaultParallelism} tasks at a time", flush=True)
        report = preprocess(options, spark)
    print(report.summary())
    print(f"  report: {options.output / 'report' / 'report.html'}", flush=True)


def absolute(options: Given) -> Given:
    """A step's options with paths that executors, which run in folders of their own, understand too."""
    paths: dict[str, Any] = {name: value.absolute() for name, value in vars(options).items() if isinstance(value, Path)}
    return replace(options, **paths)


def context(name: str = "dpo-preprocess") -> SparkContext:
    """Spark as spark-submit was told, and as a step needs it."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # what executors run, where nobody says otherwise
    gateway = launch_gateway()
    given = gateway.jvm.SparkConf()
    conf = SparkConf().setAppName(name).setAll(CONFIGURATION)
    conf.setAll([(name, value) for name, value in UNLESS_GIVEN if not given.contains(name)])
    if given.get("spark.master", "").startswith("yarn"):
        conf.setAll(executor_memory(*(given.get(name, default) for name, default in MEMORY)))
    return SparkContext(conf=conf, gateway=gateway)


def executor_memory(heap: str, overhead: str) -> list[tuple[str, str]]:
    """The settings that share out the same memory anew: what is no Java heap is the Python processes'."""
    total = _mebibytes(heap) + _mebibytes(overhead)
    sizes = (total // JAVA_SHARE, total - total // JAVA_SHARE)
    return [(name, f"{size}m") for (name, _), size in zip(MEMORY, sizes, strict=True)]


def _mebibytes(text: str) -> int:
    match = SIZE.fullmatch(text.strip())
    if not match:
        raise StepError(f"{text!r} is no amount of memory that Spark takes, such as 4g or 4096m")
    return int(int(match[1]) * MEBIBYTES[match[2].lower()])


if __name__ == "__main__":
    sys.exit(contract.run(main))
