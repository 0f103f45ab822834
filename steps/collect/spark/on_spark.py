"""Collect on Spark: the command line of `python -m steps.collect`, for captures that are too much for one machine.

Command:  spark-submit steps/collect/spark/on_spark.py --captures DIR --feedback DIR --output DIR   (see --help)
Inputs:   captures, feedback and the given data at the same path on every machine.
Outputs:  pairs/, unpaired/ and report/ as the Python engine's, byte for byte, on the machine of this process.
Limits:   the feedback, and of each capture that somebody spoke of where it stands, are in this process's memory.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # of a script it is its own folder, whose modules would hide others of the same name

from steps.collect.options import parse
from steps.collect.spark.run import collect_on_spark
from steps.preprocess.on_spark import absolute, context
from steps.shared import contract


def main() -> None:
    options = absolute(parse(prog="spark-submit steps/collect/spark/on_spark.py"))
    options.check()
    with context("dpo-collect") as spark:
        spark.setLogLevel("WARN")
        print(f"Spark {spark.version} on {spark.master}, {spark.defaultParallelism} tasks at a time", flush=True)
        report = collect_on_spark(options, spark)
    print(report.summary(), flush=True)


if __name__ == "__main__":
    sys.exit(contract.run(main))
