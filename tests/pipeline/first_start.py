"""Records what the first start in a fresh clone shows, with the second at which each line came.

Command:  python -m tests.pipeline.first_start [--seconds 20] [--write]
Outputs:  the record; with --write it replaces the one in pipeline/README.md. The run is stopped then.
Limits:   a terminal that cannot be redrawn (TERM=dumb), whose lines can be kept; another has a table in their place.
          The clone uses this Python with its packages: how long they take to install is not in it.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.paths import ROOT

START = ("pipeline.py", "start", "--local", "--wait")
PAGE = ROOT / "pipeline" / "README.md"
BEGIN, END = "<!-- first start -->", "<!-- end of first start -->"
LONGEST = 150  # characters of a line that is kept
ENDING_SECONDS = 60

Line = tuple[float, str]


def record(command: Sequence[str], cwd: Path, seconds: float, variables: Mapping[str, str]) -> list[Line]:
    """What a command writes on a terminal within so many seconds, each line with its second; then it is ended."""
    master, slave = pty.openpty()
    begun = time.monotonic()
    program = subprocess.Popen(
        command, cwd=cwd, env={**variables, "TERM": "dumb", "COLUMNS": "400"}, stdin=subprocess.DEVNULL,
        stdout=slave, stderr=slave, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    found: list[Line] = []
    left = b""
    try:
        while (remaining := begun + seconds - time.monotonic()) > 0:
            if not select.select([master], [], [], remaining)[0]:
                break
            with contextlib.suppress(OSError):  # the program has ended
                left += os.read(master, 65536)
            *lines, left = left.split(b"\n")
            found += [(time.monotonic() - begun, line.decode(errors="replace").rstrip("\r")) for line in lines]
            if program.poll() is not None:
                break
    finally:
        _end(program, master)
    return found


def _end(program: subprocess.Popen[bytes], master: int) -> None:
    """End it, its jobs included, and read on meanwhile, so that it is not held up by what it writes."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGINT)
    until = time.monotonic() + ENDING_SECONDS
    while program.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError):
            if select.select([master], [], [], 0.1)[0]:
                os.read(master, 65536)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)
    program.wait()
    os.close(master)


def told(lines: Sequence[Line], places: Mapping[str, str]) -> str:
    """The record as text, with the machine's own folders under the names that they are given."""
    found = []
    for second, line in lines:
        for place, name in places.items():
            line = line.replace(place, name)
        line = line if len(line) <= LONGEST else f"{line[:LONGEST]}…"
        found.append(f"{second:5.1f} s  {line}")
    return "\n".join(found)


def silence(lines: Sequence[Line], seconds: float) -> float:
    """The longest time without a line, from the start to the end of the record."""
    moments = [0.0, *(second for second, _ in lines), seconds]
    return max(later - earlier for earlier, later in itertools.pairwise(moments))


def page_with(page: str, text: str) -> str:
    """The page with this record in place of its own."""
    block = f"{BEGIN}\n\n```text\n{text}\n```\n\n{END}"
    return re.sub(f"{BEGIN}.*{END}", lambda _: block, page, flags=re.DOTALL)


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.pipeline.first_start", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--write", action="store_true", help="into pipeline/README.md")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone)], check=True)
        variables = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHONPATH"))}
        lines = record([sys.executable, *START], clone, options.seconds, variables)
    text = told(lines, {f"{clone}/": "", sys.executable: "python"})
    longest = f"the longest silence: {silence(lines, options.seconds):.1f} s"
    print(f"{text}\n{longest}")
    if options.write:
        PAGE.write_text(page_with(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
