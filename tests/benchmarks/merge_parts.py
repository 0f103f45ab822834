"""What Merge's time is made of: CPU seconds of each part by itself, on one core, for the bytes of a model of 1.1B.

    python -m tests.benchmarks.merge_parts [--gigabytes 2.2] [--folder DIR]

The parts are those of steps/merge/write, on blocks of the same size in memory that is used again: what two cores can
do at best is half of their sum, beside the start (imports and the check of the base's names), which comes before. A
file is written twice, with the system's own threads counted: user and system seconds of the whole machine, a figure
that is wrong where anything else runs. Where the processor has no SHA instructions (`grep -c sha_ni /proc/cpuinfo`),
the hash is the largest part by far.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from steps.merge.write.arithmetic import BLOCK
from tests.paths import ROOT

COLUMNS, RANK = 2048, 16
START = """
import torch
from transformers import AutoConfig, AutoModelForCausalLM
AutoModelForCausalLM, AutoConfig, torch.zeros(1)
"""


def used() -> float:
    """User and system seconds of this process and of those that it waited for."""
    return sum(os.times()[:4])


def used_by_all() -> float:
    """User, nice, system and interrupts' seconds of all cores."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    return sum(int(fields[at]) for at in (0, 1, 2, 5, 6)) / os.sysconf("SC_CLK_TCK")


def blocks(count: int, part: Callable[[], object]) -> float:
    """CPU seconds of a part of `count` blocks."""
    part()
    begin = used()
    for _ in range(count):
        part()
    return used() - begin


def arithmetic(count: int) -> dict[str, float]:
    import torch

    torch.set_num_threads(1)
    a, b = torch.randn(RANK, COLUMNS), torch.randn(BLOCK // COLUMNS, RANK)
    weight, wide, delta = torch.zeros(BLOCK // COLUMNS, COLUMNS).bfloat16(), *torch.zeros(2, BLOCK // COLUMNS, COLUMNS)
    digest, data = hashlib.sha256(), memoryview(weight.view(torch.uint8).numpy().data)
    return {
        "B times A": blocks(count, lambda: torch.mm(b, a, out=delta)),
        "to float32": blocks(count, lambda: wide.copy_(weight)),
        "sum": blocks(count, lambda: delta.add_(wide)),
        "to bfloat16": blocks(count, lambda: weight.copy_(delta)),
        "NaN and infinity": blocks(count, weight.aminmax),
        "sha256": blocks(count, lambda: digest.update(data)),
    }


def files(count: int, folder: Path) -> dict[str, float]:
    """Writing with fsync, and reading what the system still has in memory."""
    data, path = bytearray(2 * BLOCK), folder / "file"
    begin = used_by_all()
    for _ in range(2):
        with open(path, "wb", buffering=0) as file:
            for _ in range(count):
                file.write(data)
            os.fsync(file.fileno())
    written = (used_by_all() - begin) / 2
    with open(path, "rb", buffering=0) as file:
        return {"write, fsync": written, "read": blocks(count - 1, lambda: file.readinto(data))}


def start() -> float:
    begin = used()
    subprocess.run([sys.executable, "-c", START], cwd=ROOT, check=True)
    return used() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2.2)
    parser.add_argument("--folder", type=Path, help="where to write a file of this size")
    asked = parser.parse_args()
    count = round(asked.gigabytes * 1e9 / 2 / BLOCK)
    print(f"{time.strftime('%F')}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before", flush=True)
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        found = {"imports": start()} | files(count, Path(folder)) | arithmetic(count)
    for name, seconds in (found | {"in all": sum(found.values())}).items():
        print(f"{name:<18} {seconds:5.2f} CPU s", flush=True)


if __name__ == "__main__":
    main()
