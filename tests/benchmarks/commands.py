"""How long commands take as whole processes, here and in another checkout of the project, taking turns in one run.

    python -m tests.benchmarks.commands [--against CHECKOUT] [--repeats 5] [--local-root DIR]

`CHECKOUT`: a folder such as `git worktree add ../before COMMIT` makes. Both run in this Python. Commands:

- `--help`, and `check`, `show`, `definition` of the quickstart, with nothing changed since the last one;
- `check, changed`: `.local/rendered/`, where definitions are kept, is removed before each;
- `status --local`, and `start --local --wait` of a quickstart that has run: all its jobs but the first are cached. It
  runs once in each checkout before, which takes minutes, in a temporary folder; or a folder is named where it has run,
  which serves both checkouts if their `steps/` are the same.

Prints a line a command: seconds and CPU seconds (of the process and those that it waited for), each the median of the
repeats, and the other checkout's by these. Each command runs once before, uncounted. On a busy machine look at the CPU
seconds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.paths import ROOT


@dataclass(frozen=True)
class Timed:
    """Seconds of a command: on the clock, and of the processors."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Checkout:
    """A checkout, and the local root of its quickstart."""

    folder: Path
    root: Path

    def run(self, words: list[str], *, anew: bool = False) -> Timed:
        """Run a command of pipeline.py to its end.

        Args:
            anew: what was rendered before is forgotten.

        Raises:
            SystemExit: it failed.
        """
        if anew:
            shutil.rmtree(self.folder / ".local" / "rendered", ignore_errors=True)
        words = [word.replace("ROOT", str(self.root)) for word in words]
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "COLUMNS")}
        with tempfile.TemporaryFile() as output:
            started = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "pipeline.py", *words],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
            _, status, used = os.wait4(process.pid, 0)
            wall = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                output.seek(0)
                raise SystemExit(f"{self.folder}: {' '.join(words)}: {output.read().decode()[-2000:]}")
        return Timed(wall, used.ru_utime + used.ru_stime)


HERE = ["--local", "--local-root", "ROOT"]
COMMANDS = {
    "--help": ["--help"],
    "check": ["check"],
    "check, changed": ["check"],
    "show": ["show"],
    "definition": ["definition"],
    "status --local": ["status", *HERE],
    "start --local --wait, cached": ["start", "--wait", *HERE],
}


def medians(times: list[Timed]) -> Timed:
    """The median of each kind of second."""
    return Timed(statistics.median(one.wall for one in times), statistics.median(one.cpu for one in times))


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description="How long commands take, here and in another checkout.")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--local-root", type=Path, metavar="DIR")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as state:
        folders = {"here": ROOT} | ({"there": arguments.against.resolve()} if arguments.against else {})
        root = arguments.local_root and arguments.local_root.resolve()
        checkouts = {name: Checkout(folder, root or Path(state) / name) for name, folder in folders.items()}
        for checkout in checkouts.values():
            checkout.run(["start", "--wait", *HERE])
        print(f"{'command':<30}" + "".join(f"{f'{name} s':>10}{'CPU s':>8}" for name in checkouts) + "   there / here")
        for label, words in COMMANDS.items():
            times: dict[str, list[Timed]] = {name: [] for name in checkouts}
            for repeat in range(arguments.repeats + 1):
                for name, checkout in checkouts.items():
                    took = checkout.run(words, anew="changed" in label)
                    times[name] += [took] if repeat else []
            found = {name: medians(one) for name, one in times.items()}
            line = f"{label:<30}" + "".join(f"{one.wall:>10.2f}{one.cpu:>8.2f}" for one in found.values())
            if "there" in found:
                there, here = found["there"], found["here"]
                line += f"   {there.wall / here.wall:.1f}, CPU {there.cpu / here.cpu:.1f}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
