"""`python -m steps.preprocess --input PATH --output DIR`: the entry point of the Preprocess step's container.

Input: a JSON or JSON Lines file (plain or gzip) of preference pairs, or a folder of them. Output: train/ and
validation/ (Parquet), quarantine/quarantine.jsonl, report/report.json. Ends with a summary, or with one error and
exit code 1.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from steps import contract
from steps.preprocess.formats import FORMATS
from steps.preprocess.preprocess import Options, preprocess


class _Parser(argparse.ArgumentParser):
    """Reports a bad argument like any other failure, so that the reason reaches SageMaker too."""

    def error(self, message: str) -> NoReturn:
        raise contract.StepError(f"{self.prog}: {message}; see --help")


def _parser() -> argparse.ArgumentParser:
    layouts = "\n".join(f"  {layout.name:<16} {layout.description}" for layout in FORMATS)
    parser = _Parser(
        prog="python -m steps.preprocess",
        allow_abbrev=False,
        description="Turn preference data into a training and a validation set, with every row accounted for.",
        epilog=f"layouts, told from each file's rows unless --format names one:\n{layouts}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--input", type=Path, required=True, metavar="PATH", help="a data file, or a folder of them")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the four parts are written")
    parser.add_argument(
        "--validation-fraction", type=float, default=0.1, metavar="X", help="share of the prompts held out (0.1)"
    )
    parser.add_argument(
        "--max-invalid-fraction", type=float, default=0.1, metavar="X", help="fail beyond this share of bad rows (0.1)"
    )
    parser.add_argument("--format", metavar="NAME", help="read all files by this layout")
    return parser


def main() -> None:
    print(preprocess(Options(**vars(_parser().parse_args()))).summary(), flush=True)


if __name__ == "__main__":
    sys.exit(contract.run(main))
