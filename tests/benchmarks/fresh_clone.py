"""How long a fresh clone takes to a registered model, `make run`, here and in another checkout, one after the other.

    python -m tests.benchmarks.fresh_clone [--against CHECKOUT] [--repeats 1]

What is committed is cloned to a temporary folder, so that environment, model and all results are made anew; what pip
and uv keep of earlier downloads is not used. The network, or the mirror that pip is told of, is part of the figure.
Prints a line a checkout (the best of the repeats): seconds in all, seconds until the environment stands, CPU seconds,
and the longest time without a line on the screen.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.benchmarks.processes import children_cpu
from tests.paths import ROOT
from tests.pipeline.first_start import record

AT_MOST = 3600.0  # seconds
STARTED, REGISTERED = "pipeline.py start --local", "registered "


@dataclass(frozen=True)
class Timed:
    seconds: float
    installed: float
    cpu: float
    silence: float


def run(checkout: Path, scratch: Path) -> Timed:
    """
    Raises:
        SystemExit: no model was registered.
    """
    clone = scratch / "clone"
    subprocess.run(["git", "clone", "--quiet", str(checkout), str(clone)], check=True)
    caches = {"UV_CACHE_DIR": str(scratch / "uv"), "PIP_CACHE_DIR": str(scratch / "pip")}
    before = children_cpu()
    begun = time.monotonic()
    lines = record(["make", "run"], clone, AT_MOST, os.environ | caches)
    seconds = time.monotonic() - begun
    cpu = children_cpu() - before
    shutil.rmtree(scratch)
    installed = next((at for at, line in lines if STARTED in line), None)
    if installed is None or not any(line.startswith(REGISTERED) for _, line in lines):
        raise SystemExit("\n".join([f"{checkout}: no model was registered", *(line for _, line in lines[-20:])]))
    silence = max(later - earlier for earlier, later in pairwise([0.0, *(at for at, _ in lines), seconds]))
    return Timed(seconds, installed, cpu, silence)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="another checkout of this repository")
    parser.add_argument("--repeats", type=int, default=1)
    asked = parser.parse_args()
    measured: dict[Path, list[Timed]] = {path.resolve(): [] for path in (ROOT, asked.against) if path}
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(asked.repeats):
            for checkout, found in measured.items():
                found.append(run(checkout, Path(folder) / "scratch"))
    for checkout, found in measured.items():
        best = min(found, key=lambda one: one.seconds)
        print(
            f"{checkout}  {best.seconds:5.0f} s, the environment {best.installed:.0f} s  {best.cpu:5.0f} CPU s  "
            f"longest silence {best.silence:.1f} s"
        )


if __name__ == "__main__":
    main()
