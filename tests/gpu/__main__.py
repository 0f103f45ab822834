"""Measure on one GPU what only a GPU can tell: `python -m tests.gpu [--tiny] [--minutes 8] [--results FILE]`.

Prints one table and adds it to RESULTS.md. Where time runs out, the parts that are left are named and not measured.
`--tiny` rehearses all of it on any machine, with figures that say nothing; then name another file for the results.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from tests.gpu import exactness, job, made, steps, table
from tests.gpu.clock import Deadline, OutOfTime
from tests.gpu.sizes import CARD, TINY
from tests.gpu.table import Result


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--results", type=Path, default=table.RESULTS)
    asked = parser.parse_args(argv)
    if not torch.cuda.is_available() and not (asked.tiny and asked.results != table.RESULTS):
        raise SystemExit("there is no GPU here; the rehearsal is: python -m tests.gpu --tiny --results FILE")
    sizes, deadline = TINY if asked.tiny else CARD, Deadline(60 * asked.minutes)
    results: list[Result] = []
    with made.scratch(0.5 if asked.tiny else 24) as folder:
        measure(results, exactness.PART, lambda: exactness.measure(sizes, folder))
        measure(results, steps.PART, lambda: steps.measure(sizes, folder, deadline))
        measure(results, job.PART, lambda: job.measure(sizes, folder, deadline))
    print(f"{table.where()}; {deadline.passed:.0f} s\n{table.shown(results)}")
    table.write(results, deadline.passed, asked.results)
    return int(any(result.met is False for result in results))


def measure(results: list[Result], part: str, measured: Callable[[], Iterator[Result]]) -> None:
    """Add a part's rows as they come: what fails or takes too long costs no other row, and is named."""
    try:
        for result in measured():
            results.append(result)
            print("  ".join(result.cells()), flush=True)
    except OutOfTime as late:
        results.append(Result(part, "the rest", {"not measured": str(late)}))
    except (Exception, SystemExit) as error:
        results.append(table.failed(part, "the rest", error))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
