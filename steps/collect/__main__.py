"""`python -m steps.collect --captures DIR --feedback DIR --output DIR`: the entry point of Collect's container.

Input: capture files of SageMaker's endpoints (steps/collect/captures.py) and lines of feedback (feedback.py). Output:
pairs/pairs.jsonl, which Preprocess reads; unpaired/unpaired.jsonl, judged answers without a counterpart yet;
report/report.json, the accounting; report/left_out.jsonl, lines that could not be used, with why. Ends with a summary,
or with one error and exit code 1. Where neither folder holds anything the outputs are there and empty.
"""

from __future__ import annotations

import sys

from steps.collect.collect import collect
from steps.collect.options import parse
from steps.shared import contract


def main() -> None:
    options = parse()
    print(collect(options).summary(), flush=True)


if __name__ == "__main__":
    sys.exit(contract.run(main))
