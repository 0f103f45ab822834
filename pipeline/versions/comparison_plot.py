"""A comparison as a picture: the margins of both versions, row against row, the accuracies with their intervals, and
where answers were judged their figures and who calls where the chosen answer does.

Margins are in nats and without beta, so that trainings with different betas are on one scale.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UserError
from pipeline.versions.comparison import Comparison, verdict, verdicts_on_answers
from pipeline.versions.evaluated import Side
from pipeline.versions.judged import Calls, Figures, Share
from pipeline.versions.plot_parts import COLOURS, GREY, Mark, confusion, head, legend, shares

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, DOTS_PER_INCH = 12.0, 110
LINE_INCHES, MARGIN_INCHES, HEAT_INCHES = 0.68, 4.9, 2.6  # height of a line of shares, of the upper panels, of a table
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

    slices, answers, tables = _slices(comparison), _answers(comparison), _tables(comparison)
    heights = [MARGIN_INCHES, 1.1 + LINE_INCHES * len(slices)]
    heights += [1.1 + LINE_INCHES * len(answers)] * bool(answers) + [HEAT_INCHES] * bool(tables)
    picture = Figure(figsize=(WIDTH, sum(heights)), dpi=DOTS_PER_INCH, layout="constrained")
    grid = picture.add_gridspec(len(heights), 2, height_ratios=heights)
    if comparison.paired:
        _margins(picture.add_subplot(grid[0, 0]), comparison)
        _row_by_row(picture.add_subplot(grid[0, 1]), comparison)
    else:
        _margins(picture.add_subplot(grid[0, :]), comparison)
    _accuracies(picture.add_subplot(grid[1, :]), comparison, slices)
    if answers:
        axes = picture.add_subplot(grid[2, :])
        shares(axes, answers)
        head(axes, "What they say", "with 95 % intervals, each version over the prompts it answered")
    for column, (title, calls) in enumerate(tables):
        confusion(picture.add_subplot(grid[-1, column]), title, calls.confusion)
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
    form = "as they are served" if comparison.form == "served" else "in the form that was trained"
    said = [verdict(comparison), *verdicts_on_answers(comparison)]
    return "\n".join([f"{group}: versions {numbers}, {form}", *said])


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
    head(axes, "Margins", "chosen minus rejected, in nats; dashed: median")
    axes.set_xlabel("margin: wrong below 0, right above")
    axes.set_ylabel("share of rows")
    legend(axes)


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
    head(axes, "Row by row", f"{len(ids)} rows in both evaluations; dashed: equal")
    axes.set_xlabel(f"margin, {_label(comparison.first)}")
    axes.set_ylabel(f"margin, {_label(comparison.second)}")
    legend(axes)


def _slices(comparison: Comparison) -> list[tuple[str, list[Mark | None]]]:
    """All rows, and each slice that tells more: where a kind has one slice, it is all rows once more."""
    afters = [side.evaluation.after for side, _ in _sides(comparison)]
    parts = [("all rows", [_accuracy(after) for after in afters])]
    for kind in sorted({kind for after in afters for kind in after.slices}):
        names = sorted({name for after in afters for name in after.slices.get(kind, {})})
        if len(names) > 1:
            parts += [
                (f"{kind}: {name}", [_accuracy(after.slices.get(kind, {}).get(name)) for after in afters])
                for name in names
            ]
    return parts


def _accuracy(figures: Figures | None) -> Mark | None:
    if figures is None:
        return None
    return Mark(figures.reward_accuracy, *figures.interval, f"{figures.reward_accuracy:.3f}, {figures.rows} rows")


def _accuracies(axes: Axes, comparison: Comparison, slices: list[tuple[str, list[Mark | None]]]) -> None:
    shares(axes, slices)
    axes.axvline(0.5, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    head(axes, "Reward accuracy", "with 95 % intervals; dashed: chance")


def _answers(comparison: Comparison) -> list[tuple[str, list[Mark | None]]]:
    """Figures of calls and form; none where neither version's answers were judged."""
    said = [side.evaluation.answers.after if side.evaluation.answers else None for side, _ in _sides(comparison)]
    if not any(said):
        return []
    calls = [one.calls if one else None for one in said]
    lines = [
        ("degenerate", [_share(one.form.degenerate, f"{one.form.rows} prompts") if one else None for one in said]),
    ]
    if any(calls):
        of = [f"{one.rows} with tools" if one else "" for one in calls]
        own = [
            ("calls right", [_share(one, rows) for one, rows in zip(calls, of, strict=True)]),
            ("call or no call", [_share(one and one.decision, rows) for one, rows in zip(calls, of, strict=True)]),
            ("arguments", [_share(one and one.arguments, "of calls") for one in calls]),
        ]
        lines = own + lines
    return lines


def _share(part: Share | None, of: str) -> Mark | None:
    if part is None or part.share is None or part.low is None or part.high is None:
        return None
    return Mark(part.share, part.low, part.high, f"{part.share:.3f}, {of}")


def _tables(comparison: Comparison) -> list[tuple[str, Calls]]:
    """Each version's calls, where they were judged."""
    said = [(_label(side), side.evaluation.answers) for side, _ in _sides(comparison)]
    calls = [(label, one.after.calls) for label, one in said if one and one.after and one.after.calls]
    return [
        (f"Calls of {label}", one) for label, one in calls if any(map(any, map(dict.values, one.confusion.values())))
    ]
