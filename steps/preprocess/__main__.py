"""`python -m steps.preprocess --input PATH --output DIR`: the entry point of the Preprocess step's container.

Input: files of preference pairs, or a folder of them. Output: train/ and validation/ (Parquet), quarantine/
quarantine.jsonl, report/ (report.json, report.html and the ids of the rows). Ends with a summary, or with one error
and exit code 1.
"""

from __future__ import annotations

import sys

from steps.preprocess.as_given import as_given
from steps.preprocess.options import parse
from steps.preprocess.preprocess import preprocess
from steps.preprocess.shards.shard_worker import return_freed_memory
from steps.shared import contract


def main() -> None:
    return_freed_memory()
    with as_given():
        options = parse()
        print(preprocess(options).summary())
    print(f"  report: {options.output / 'report' / 'report.html'}", flush=True)


if __name__ == "__main__":
    sys.exit(contract.run(main))
