"""`python -m steps.candidates --base MODEL --champion DIR --unpaired DIR --output DIR`: the entry point of the job.

Input: prompts without a pair, Collect's (unpaired.jsonl) or a user's own; the champion's adapter with its base, or the
base alone. Output: pairs/pairs.jsonl, which Preprocess reads; report/report.json, the accounting;
report/left_out.jsonl, prompts that could not be answered, with why. Ends with a summary, or with one error and exit
code 1. Where there are no prompts nothing is loaded, and the outputs are there and empty.
"""

from __future__ import annotations

import sys

from steps.candidates.candidates import candidates
from steps.candidates.options import parse
from steps.shared import contract, secrets


def main() -> None:
    options = parse()
    secrets.load()
    print(candidates(options).summary(), flush=True)


if __name__ == "__main__":
    sys.exit(contract.run(main))
