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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)  # of a script it is its own folder, whose modules would hide others of the same name

from py4j.protocol import Py4JJavaError
from pyspark import SparkConf, SparkContext

from steps import contract
from steps.contract import StepError
from steps.preprocess.options import Options, parse
from steps.preprocess.spark.run import preprocess

JAVA_SHARE = 4  # Java gets a fourth of an executor's memory
SIZE = re.compile(r"(\d+)([kmgt]?)b?", re.IGNORECASE)
MEBIBYTES = {"k": 2**-10, "m": 1, "": 1, "g": 2**10, "t": 2**20}
TOLD = re.compile(r"^steps\.contract\.StepError: (.*?)\n\s*\n?\s*at ", re.DOTALL | re.MULTILINE)


def main() -> None:
    options = _absolute(parse(prog="spark-submit steps/preprocess/on_spark.py"))
    options.check()
    if options.workers is not None:
        raise StepError("--workers: Spark decides on its processes itself; leave it out")
    with SparkContext(conf=configuration()) as spark, _told():
        print(f"Spark {spark.version} on {spark.master}, {spark.defaultParallelism} tasks at a time", flush=True)
        report = preprocess(options, spark)
    print(report.summary())
    print(f"  report: {options.output / 'report' / 'report.html'}", flush=True)


def _absolute(options: Options) -> Options:
    """The options with paths that executors, which run in folders of their own, understand too."""
    paths = {name: value.absolute() for name, value in vars(options).items() if isinstance(value, Path)}
    return replace(options, **paths)


def configuration() -> SparkConf:
    """What spark-submit was given, and what the step needs besides."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # what executors run, where nobody says otherwise
    conf = SparkConf().setAppName("dpo-preprocess")
    conf.set("spark.executorEnv.PYTHONPATH", str(ROOT))  # YARN starts executors without this process's environment
    conf.set("spark.driver.maxResultSize", "0")
    conf.set("spark.ui.enabled", "false")
    conf.set("spark.ui.showConsoleProgress", "false")
    if conf.get("spark.master", "").startswith("yarn"):
        _give_memory_to_python(conf)
    return conf


def _give_memory_to_python(conf: SparkConf) -> None:
    heap, beside = (conf.get(f"spark.executor.{name}", default) for name, default in MEMORY)
    total = _mebibytes(heap) + _mebibytes(beside)
    conf.set("spark.executor.memory", f"{total // JAVA_SHARE}m")
    conf.set("spark.executor.memoryOverhead", f"{total - total // JAVA_SHARE}m")


MEMORY = (("memory", "1g"), ("memoryOverhead", "384m"))  # Spark's defaults


def _mebibytes(text: str) -> int:
    match = SIZE.fullmatch(text.strip())
    if not match:
        raise StepError(f"{text!r} is no amount of memory that Spark takes, such as 4g or 4096m")
    return int(int(match[1]) * MEBIBYTES[match[2].lower()])


@contextmanager
def _told() -> Iterator[None]:
    """Turn the step's own error, which reaches this process inside a Java stack trace, back into what it was."""
    try:
        yield
    except Py4JJavaError as error:
        told = TOLD.search(str(error.java_exception))
        if told:
            raise StepError(told[1]) from None
        raise


if __name__ == "__main__":
    sys.exit(contract.run(main))
