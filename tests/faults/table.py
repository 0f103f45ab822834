"""The campaign's table in tests/README.md, between marks; written by `make faults`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.faults.kinds import KINDS
from tests.paths import ROOT

PAGE = ROOT / "tests" / "README.md"
MARKS = re.compile(r"(<!-- faults -->\n).*?(<!-- /faults -->)", re.DOTALL)


@dataclass(frozen=True)
class Result:
    """How one round went; `fault` is empty where nothing was wrong, `skipped` says why it was not played."""

    kind: str
    number: int
    seconds: float
    fault: str = ""
    skipped: str = ""
    notes: Sequence[str] = ()
    hit: bool = True  # whether the fault met anything: a signal that came too late meets nothing


def lines(results: Sequence[Result], seed: str, where: Mapping[str, str]) -> list[str]:
    """The table: a row for each kind, those that were not played included, and what it was made with."""
    rows = []
    for name, kind in KINDS.items():
        played = [one for one in results if one.kind == name and not one.skipped]
        failed = [one for one in played if one.fault]
        skipped = next((one.skipped for one in results if one.kind == name and one.skipped), "not played")
        hit = sum(one.hit for one in played)
        count = f"{len(played)} of {kind.rounds}, hit {hit}" if played else skipped
        failures = f"{len(failed)}: rounds {', '.join(str(one.number) for one in failed)}" if failed else "0"
        seconds = f"{sum(one.seconds for one in played):.0f} s"
        rows.append(
            f"| `{name}` | {kind.words} | {count} | {failures if played else ''} | {seconds if played else ''} |"
        )
    made = ", ".join(f"{name} {value}" for name, value in where.items())
    return [f"Seed {seed}; {made}.", "", "| kind | what | rounds | failures | time |", "|---|---|---|---|---|", *rows]


def write(text: Sequence[str]) -> None:
    """Put the table into the page."""
    page = PAGE.read_text(encoding="utf-8")
    changed, count = MARKS.subn(lambda match: match[1] + "\n".join(text) + "\n" + match[2], page)
    if count != 1:
        raise SystemExit(f"{PAGE}: has no place for the table: <!-- faults --> and <!-- /faults -->")
    PAGE.write_text(changed, encoding="utf-8")
