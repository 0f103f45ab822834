"""What the imports of a training cost before its first step, against another checkout's, in turns.

    python -m tests.benchmarks.imports [--against CHECKOUT] [--repeats 5]

Each repeat is a process of its own that imports what a rank of Train does: all ranks, and the one that tells MLflow;
the peer imports TRL's DPO trainer and peft as they are, and nothing of this project.
Prints CPU seconds (user and system; the least of the repeats, for a busy machine only adds to them), how many modules
were loaded, and the ratio. Files are in the page cache: the first repeat of each is not counted.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.processes import children_cpu
from tests.paths import ROOT

LIBRARIES = """
import sys
sys.path[0] = sys.argv[1]
try:
    from steps.shared.libraries.lean import lean, uncollected
except ModuleNotFoundError:  # a checkout of before
    from contextlib import nullcontext as lean
    uncollected = lean
from steps.train import train
with lean():
    import steps.train.prepare, steps.train.loop.trainer
"""
TRACKED = """
with uncollected():
    import mlflow
"""
COUNT = "print(len(sys.modules))"
PEER = "import sys; from trl import DPOTrainer; from peft import get_peft_model\n"
WAYS = {
    "TRL and peft alone": PEER + COUNT,
    "every rank": LIBRARIES + COUNT,
    "the rank that tells MLflow": LIBRARIES + TRACKED + COUNT,
}


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.imports", description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, help="another checkout, such as a git worktree of an older commit")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(argv)
    checkouts = [path.resolve() for path in (options.against, ROOT) if path]
    for name, script in WAYS.items():
        taken: dict[Path, list[float]] = {checkout: [] for checkout in checkouts}
        modules: dict[Path, int] = {}
        for _ in range(options.repeats + 1):
            for checkout in checkouts:
                seconds, modules[checkout] = measure(script, checkout)
                taken[checkout].append(seconds)
        least = {checkout: min(seconds[1:]) for checkout, seconds in taken.items()}
        for checkout in checkouts:
            ratio = f"{least[checkout] / least[checkouts[0]]:.2f}"
            print(f"{name:28}{least[checkout]:6.2f} CPU s {modules[checkout]:6} modules  {ratio} times  {checkout}")


def measure(script: str, checkout: Path) -> tuple[float, int]:
    """CPU seconds of a process that runs the script in the checkout, and what it printed.

    Raises:
        SystemExit: it failed.
    """
    before = children_cpu()
    command = [sys.executable, "-c", script, str(checkout)]
    done = subprocess.run(
        command, cwd=checkout, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    used = children_cpu() - before
    if done.returncode:
        raise SystemExit(f"{checkout}: {done.stderr[-2000:]}")
    return used, int(done.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
