"""What was measured, as one table on the screen and as rows of RESULTS.md."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

RESULTS = Path(__file__).with_name("RESULTS.md")
NOTHING = "No GPU was lent yet: nothing was measured."
LIBRARIES = ("torch", "transformers", "trl", "peft", "bitsandbytes", "flash-attn")
HEAD = "| part | what | figures | target |\n|---|---|---|---|"


@dataclass(frozen=True)
class Result:
    """One row.

    Attributes:
        part: of the measurement, as README.md names them.
        figures: with their units in their names, or in words why there are none.
        target, met: what was asked for, where something was, and whether it was reached.
    """

    part: str
    what: str
    figures: Mapping[str, float | str]
    target: str = ""
    met: bool | None = None

    def cells(self) -> list[str]:
        figures = ", ".join(f"{name} {_figure(value)}".strip() for name, value in self.figures.items())
        verdict = {None: "", True: ": met", False: ": missed"}[self.met]
        return [self.part, self.what, figures, self.target + verdict]


def failed(part: str, what: str, error: BaseException) -> Result:
    """A row for what could not be measured."""
    return Result(part, what, {"failed": f"{type(error).__name__}: {str(error)[:300]}"}, "runs", False)


def _figure(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def shown(results: Sequence[Result]) -> str:
    """The table for the screen, its columns aligned."""
    rows = [["part", "what", "figures", "target"], *(result.cells() for result in results)]
    widths = [max(len(row[place]) for row in rows) for place in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def where() -> str:
    """The card and the versions."""
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU ({platform.machine()})"
    return f"{card}; Python {platform.python_version()}; " + ", ".join(
        f"{name} {found}" for name in LIBRARIES if (found := _version(name))
    )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def write(results: Sequence[Result], seconds: float, path: Path = RESULTS) -> None:
    """Add a run's table to a file of results, the newest first."""
    day = datetime.now(UTC).date().isoformat()
    rows = "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in result.cells())} |" for result in results)
    section = f"## {day}, {where()}\n\nIn {seconds:.0f} s.\n\n{HEAD}\n{rows}\n"
    text = path.read_text(encoding="utf-8") if path.exists() else "# Results\n"
    title, _, rest = text.replace(f"{NOTHING}\n", "").partition("\n")
    path.write_text(f"{title}\n\n{section}" + (f"\n{rest.strip()}\n" if rest.strip() else ""), encoding="utf-8")
