"""Plays the campaign of faults.

    python -m tests.faults [--seed TEXT] [--only KIND[:ROUND]]… [--rounds N] [--workers 2] [--minutes 40] [--write]

Exit code: 0 when no round failed, and all were played that a full campaign has time for: 1 where the 40 minutes ran out
though neither --minutes nor --rounds asked for less. The last line says what was not played.
A failed round's folder stays, and the command that repeats it is printed.
Linux only. The kinds that mount a file system need root; else they are told as not played.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tests.faults import processes, table, world
from tests.faults.kinds import KINDS
from tests.faults.processes import Fault
from tests.faults.room import Room
from tests.faults.table import Result
from tests.forks.client import Forks
from tests.paths import ROOT

NO_TIME, NO_ROOT = "no time left", "not played: needs root"


def main(argv: list[str] | None = None) -> int:
    """Play the rounds that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__, allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--seed", default="1")
    parser.add_argument("--only", action="append", help="a kind, or one round of it, KIND:ROUND; may be repeated")
    parser.add_argument("--rounds", type=int, help="of each kind; default: as many as the kind has")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--minutes", type=float, help="after which no other round begins; default: 40")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "dpo-faults")
    parser.add_argument("--write", action="store_true", help="write the table into tests/README.md")
    given = parser.parse_args(argv)
    began = time.monotonic()
    os.chdir(ROOT)
    world.environment()
    made = world.make(given.work.resolve())
    print(f"the undisturbed executions are there after {time.monotonic() - began:.0f} s: {made.folder}", flush=True)
    rounds = chosen(given.only, given.rounds)
    results = []
    forks = Forks(["tests.forks.steps"], dict(os.environ), given.work.resolve() / f"forks-{os.getpid()}")
    with ProcessPoolExecutor(given.workers, max_tasks_per_child=None) as pool:
        until = began + (40 if given.minutes is None else given.minutes) * 60
        waiting = [pool.submit(play, made, given.seed, *one, until, forks.python) for one in rounds]
        for future in as_completed(waiting):
            results.append(future.result())
            tell(results[-1], given.seed)
    forks.leave()
    forks.wait()
    failed = [one for one in results if one.fault]
    where = {"commit": commit(), "on": f"{datetime.date.today()}", "in": f"{(time.monotonic() - began) / 60:.0f} min",
             "workers": str(given.workers), "Python": platform.python_version()}  # fmt: skip
    text = table.lines(results, given.seed, where)
    print("\n".join(text))
    if given.write:
        table.write(text)
    late = [one for one in results if one.skipped == NO_TIME]
    print(f"{len(failed)} of {len(results)} rounds failed; not played: {len(late)} for want of time, "
          f"{sum(one.skipped == NO_ROOT for one in results)} for want of root")  # fmt: skip
    cut_short = late and given.minutes is None and given.rounds is None
    return 1 if failed or cut_short else 0


def chosen(only: list[str] | None, count: int | None) -> list[tuple[str, int]]:
    """(kind, round) of all that is to be played: the first rounds of all kinds first, so that a cut one is fair."""
    found: list[tuple[float, str, int]] = []
    for word in only or KINDS:
        name, _, number = word.partition(":")
        if name not in KINDS:
            sys.exit(f"--only {word}: there is no such kind; there are {', '.join(KINDS)}")
        total = KINDS[name].rounds
        every = [int(number)] if number else range(min(total, total if count is None else count))
        found += [(one / total, name, one) for one in every]
    return [(name, one) for _, name, one in sorted(found)]


def play(made: world.World, seed: str, kind: str, number: int, until: float, stand_in: str) -> Result:
    """One round, in a folder of its own, which stays where it failed."""
    began = time.monotonic()
    if began > until:
        return Result(kind, number, 0, skipped=NO_TIME)
    if KINDS[kind].only_root and os.geteuid() != 0:
        return Result(kind, number, 0, skipped=NO_ROOT)
    folder = made.folder.parent / f"{seed}-{kind}-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    room = Room(made, folder, random.Random(f"{seed} {kind} {number}"), stand_in)
    fault = ""
    try:
        KINDS[kind].play(room, number)
        shutil.rmtree(folder)
    except Fault as error:
        fault = str(error)
    except Exception as error:
        fault = f"the round itself ended in {type(error).__name__}: {error}"
        (folder / "traceback.txt").write_text(traceback.format_exc())
    finally:
        processes.end(processes.of_root(room.root))
    return Result(kind, number, time.monotonic() - began, fault, notes=tuple(room.notes), hit=room.hit)


def tell(result: Result, seed: str) -> None:
    """One line for a round, more for one that failed."""
    if result.skipped:
        return
    name = f"{result.kind}:{result.number}"
    how = "FAILED" if result.fault else "ok"
    print(f"{name} {how} {result.seconds:.0f} s  {'; '.join(result.notes)}", flush=True)
    if result.fault:
        print(f"    {result.fault}\n    again: python -m tests.faults --seed {seed} --only {name}", flush=True)


def commit() -> str:
    """The commit of this checkout."""
    words = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
