"""A comparison as a picture: the margins of both versions, row against row, and the accuracies with their intervals.

Margins are in nats and without beta, so that trainings with different betas are on one scale.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UserError
from pipeline.versions.comparison import Comparison, Figures, Side, verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, DOTS_PER_INCH = 12.0, 110
ACCURACY_INCHES, MARGIN_INCHES = 0.34, 4.6  # height of a line of the lower panel, and of the upper panels
COLOURS = ("#2f5bd7", "#d9772b")
GREY, GRID = "#565e6c", "#e9ecf1"
BINS = 30
ROOM = 0.04  # of an axis, at both ends
CLIP = 0.005  # the share of margins at either end that stands at the edge: a few far ones would flatten the rest
SUFFIX = ".png"


def write(comparison: Comparison, path: Path) -> None:
    """Write the picture beside its place, then rename it.

    Raises:
        UserError: not a .png, no folder, or matplotlib is not installed.
    """
    check(path)
    from matplotlib.figure import Figure

    slices = _parts(comparison)
    height = MARGIN_INCHES + 1.1 + ACCURACY_INCHES * 2 * len(slices)
    picture = Figure(figsize=(WIDTH, height), dpi=DOTS_PER_INCH, layout="constrained")
    grid = picture.add_gridspec(2, 2, height_ratios=[MARGIN_INCHES, height - MARGIN_INCHES])
    if comparison.paired:
        _margins(picture.add_subplot(grid[0, 0]), comparison)
        _row_by_row(picture.add_subplot(grid[0, 1]), comparison)
    else:
        _margins(picture.add_subplot(grid[0, :]), comparison)
    _accuracies(picture.add_subplot(grid[1, :]), comparison, slices)
    picture.suptitle(_title(comparison), x=0.01, ha="left", fontsize="medium")
    beside = path.with_name(path.name + ".tmp")
    try:
        picture.savefig(beside, format="png")
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def check(path: Path) -> None:
    """Whether a picture can be written there.

    Raises:
        UserError: it cannot.
    """
    if path.suffix != SUFFIX:
        raise UserError(f"--plot {path}: must end in {SUFFIX}")
    if not path.parent.is_dir():
        raise UserError(f"--plot {path}: there is no folder {path.parent}; make it, or name another")
    import importlib.util

    if importlib.util.find_spec("matplotlib") is None:
        raise UserError("--plot: matplotlib is not installed; pip install '.[local]', or leave --plot out")


def _title(comparison: Comparison) -> str:
    group = comparison.first.version.group
    numbers = f"{comparison.first.version.version} and {comparison.second.version.version}"
    return f"{group}: versions {numbers}\n{verdict(comparison)}"


def _label(side: Side) -> str:
    return f"version {side.version.version}"


def _sides(comparison: Comparison) -> list[tuple[Side, str]]:
    return list(zip((comparison.first, comparison.second), COLOURS, strict=True))


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """The range that holds all but the farthest few, and 0."""
    ordered = sorted(values)
    far = int(CLIP * len(ordered))
    low, high = min(ordered[far], 0.0), max(ordered[-1 - far], 0.0)
    return (low, high) if high > low else (-1.0, 1.0)


def _margins(axes: Axes, comparison: Comparison) -> None:
    """How the margins of both lie, as shares of the rows: the evaluations may have different numbers of them."""
    import numpy as np

    low, high = _limits([margin for side, _ in _sides(comparison) for margin in side.margins.values()])
    width = (high - low) / BINS
    first, last = math.floor(low / width), math.ceil(high / width)
    edges = [width * edge for edge in range(first, last + 1)]  # 0 is one: no bin is half right
    for side, colour in _sides(comparison):
        margins = np.clip(list(side.margins.values()), low, high)
        shares = np.full(len(margins), 1 / len(margins))
        label = f"{_label(side)}, {len(margins)} rows"
        axes.hist(margins, edges, weights=shares, histtype="stepfilled", color=colour, alpha=0.22)
        axes.hist(margins, edges, weights=shares, histtype="step", color=colour, linewidth=1.6, label=label)
        axes.axvline(float(np.median(margins)), color=colour, linewidth=1, linestyle=(0, (4, 3)))
    axes.axvline(0, color=GREY, linewidth=1)
    _head(axes, "Margins", "chosen minus rejected, in nats; dashed: median")
    axes.set_xlabel("margin: wrong below 0, right above")
    axes.set_ylabel("share of rows")
    axes.legend(frameon=False, loc="upper left")


def _row_by_row(axes: Axes, comparison: Comparison) -> None:
    """Each common row as a point; above the diagonal the second version tells it better."""
    import numpy as np

    ids = sorted(comparison.first.margins.keys() & comparison.second.margins.keys())
    each = [[side.margins[id] for id in ids] for side, _ in _sides(comparison)]
    ranges = [_limits(margins) for margins in each]  # its own for each: one may have trained much further
    x, y = (np.clip(margins, *limits) for margins, limits in zip(each, ranges, strict=True))
    right, other_right = (np.sign(margins) for margins in each)
    only_first, only_second, alike = right > other_right, right < other_right, right == other_right
    axes.axline((0, 0), slope=1, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    axes.axhline(0, color=GREY, linewidth=1)
    axes.axvline(0, color=GREY, linewidth=1)
    kinds = ((alike, GREY, "both alike"), (only_first, COLOURS[0], f"only {_label(comparison.first)} right"),
             (only_second, COLOURS[1], f"only {_label(comparison.second)} right"))  # fmt: skip
    for chosen, colour, label in kinds:
        axes.scatter(
            x[chosen], y[chosen], s=18, color=colour, alpha=0.6, linewidths=0, label=f"{label} ({chosen.sum()})"
        )
    (low_x, high_x), (low_y, high_y) = ((low - ROOM * (high - low), high + ROOM * (high - low)) for low, high in ranges)
    axes.set_xlim(low_x, high_x)
    axes.set_ylim(low_y, high_y)
    _head(axes, "Row by row", f"{len(ids)} rows in both evaluations; dashed: equal")
    axes.set_xlabel(f"margin, {_label(comparison.first)}")
    axes.set_ylabel(f"margin, {_label(comparison.second)}")
    axes.legend(frameon=False, loc="lower right")  # the best place takes long to find among many points


def _parts(comparison: Comparison) -> list[tuple[str, list[Figures | None]]]:
    """All rows, and each slice that tells more: where a kind has one slice, it is all rows once more."""
    afters = [side.evaluation.after for side, _ in _sides(comparison)]
    parts: list[tuple[str, list[Figures | None]]] = [("all rows", list(afters))]
    for kind in sorted({kind for after in afters for kind in after.slices}):
        names = sorted({name for after in afters for name in after.slices.get(kind, {})})
        if len(names) > 1:
            parts += [(f"{kind}: {name}", [after.slices.get(kind, {}).get(name) for after in afters]) for name in names]
    return parts


def _accuracies(axes: Axes, comparison: Comparison, parts: list[tuple[str, list[Figures | None]]]) -> None:
    for place, (_, found) in enumerate(parts):
        for shift, (figures, (_, colour)) in zip(
            (-0.17, 0.17), zip(found, _sides(comparison), strict=True), strict=True
        ):
            if figures is None:
                continue
            low, high = figures.interval
            middle, y = figures.reward_accuracy, place + shift
            errors = [[middle - low], [high - middle]]
            axes.errorbar(middle, y, xerr=errors, fmt="o", color=colour, capsize=3)
            axes.annotate(f"{middle:.3f}, {figures.rows} rows", (1.03, y), color=colour, va="center", fontsize="small",
                          annotation_clip=False)  # fmt: skip
    axes.axvline(0.5, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_xlim(0, 1.01)
    axes.set_ylim(len(parts) - 0.5, -0.5)
    axes.set_yticks(range(len(parts)), [name for name, _ in parts])
    _head(axes, "Reward accuracy", "with 95 % intervals; dashed: chance")


def _head(axes: Axes, title: str, said: str) -> None:
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_title(said, loc="right", fontsize="small", color=GREY)
    axes.grid(color=GRID)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
