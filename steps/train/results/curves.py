"""The training history as curves over the optimizer steps: what is drawn, for the page as SVG, and as a PNG.

The page's positions are per cent of a plot's width and height, because a plot is as wide as the page lets it be; the
template draws them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POINTS = 600  # of a curve on the page; of a longer one every nth is drawn, and the last
TICKS = 5  # along an axis, about
TINY = 1e-200  # differences below it are none: they would not survive arithmetic
INCHES, DOTS_PER_INCH = (12.0, 3.33), 110  # a row of the picture
# By the kind of curve; the page has colours of the same names, for light and for dark mode.
COLOURS = {"train": "#2f5bd7", "held_out": "#6a3fb5", "chosen": "#1d7f6e", "rejected": "#b9501a"}

History = Sequence[Mapping[str, float | None]]

# Title, what stands beside it, and the figures of the history that are drawn: on one axis only what is the same figure
# of other rows. The losses are not: one is trained, a mix of whatever loss_type names, the other is always sigmoid.
PANELS = (
    ("Training loss", "as loss_type says, training batches", ("loss",)),
    ("Held-out loss", "sigmoid, mean over rows", ("eval_loss",)),
    ("Implicit rewards", "beta · log ratio, training batches", ("reward_chosen", "reward_rejected")),
    ("Reward margin", "reward of chosen minus rejected", ("reward_margin", "eval_reward_margin")),
    ("Reward accuracy", "share of rows", ("reward_accuracy", "eval_reward_accuracy")),
    ("Learning rate", "of the optimizer step", ("learning_rate",)),
    ("Gradient norm", "before clipping", ("grad_norm",)),
)
LEAST = {"Reward accuracy": (0.0, 1.0)}  # the smallest range of an axis
OTHERWISE_NAMED = {"reward_chosen": "chosen", "reward_rejected": "rejected"}


@dataclass(frozen=True)
class Curve:
    """`points` are (step, value), in order."""

    name: str
    colour: str
    points: list[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    title: str
    unit: str
    least: tuple[float, float] | None
    curves: list[Curve]


def finite(history: Sequence[Mapping[str, float]]) -> list[dict[str, float | None]]:
    """The history as JSON can hold it: NaN and infinity become None."""
    return [{key: value if math.isfinite(value) else None for key, value in entry.items()} for entry in history]


def panels(history: History) -> list[Panel]:
    """What there is to draw; a figure that was never logged, or never finite, is left out."""
    found = []
    for title, unit, keys in PANELS:
        curves = [_curve(history, key) for key in keys]
        drawn = [curve for curve in curves if curve.points]
        if drawn:
            found.append(Panel(title, unit, LEAST.get(title), drawn))
    return found


def _curve(history: History, key: str) -> Curve:
    points = [
        (step, value)
        for entry in history
        if (step := entry["step"]) is not None and (value := entry.get(key)) is not None
    ]
    if key in OTHERWISE_NAMED:
        return Curve(OTHERWISE_NAMED[key], OTHERWISE_NAMED[key], points)
    return Curve("held-out rows", "held_out", points) if key.startswith("eval_") else Curve("training", "train", points)


def write_png(history: History, path: Path) -> None:
    """All panels in one picture, written beside and then renamed."""
    from matplotlib.figure import Figure

    drawn = panels(history)
    rows = math.ceil(len(drawn) / 2)
    height = INCHES[1] * rows
    picture = Figure(figsize=(INCHES[0], height), dpi=DOTS_PER_INCH)
    # Margins in inches. Fixed ones: to fit them matplotlib draws the picture twice, which takes seconds.
    picture.subplots_adjust(left=0.9 / INCHES[0], right=1 - 0.2 / INCHES[0], top=1 - 0.4 / height,
                            bottom=0.6 / height, wspace=0.2, hspace=0.35)  # fmt: skip
    for place, panel in enumerate(drawn, start=1):
        axes = picture.add_subplot(rows, 2, place)
        for curve in panel.curves:
            steps, values = zip(*curve.points, strict=True)
            marker = "o" if curve.colour == "held_out" or len(steps) == 1 else None
            axes.plot(steps, values, color=COLOURS[curve.colour], label=curve.name, marker=marker)
        if panel.least:
            axes.set_ylim(panel.least[0] - 0.03, panel.least[1] + 0.03)
        axes.set_title(panel.title, loc="left", fontweight="bold", y=1)
        axes.set_title(panel.unit, loc="right", fontsize="small", color="#565e6c", y=1)
        axes.set_xlabel("optimizer step")
        axes.locator_params(axis="x", integer=True, nbins=TICKS)
        axes.locator_params(axis="y", nbins=TICKS)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")  # as on the page; matplotlib's own may be wide
        axes.grid(color="#e9ecf1")
        axes.spines[["top", "right"]].set_visible(False)
        if len(panel.curves) > 1:
            axes.legend(frameon=False)
    beside = path.with_name(path.name + ".tmp")
    picture.savefig(beside, format="png", pil_kwargs={"compress_level": 1})  # a twentieth larger, and faster
    os.replace(beside, path)


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`, with round numbers along it."""

    low: float
    high: float

    @classmethod
    def over(cls, values: Sequence[float], least: tuple[float, float] | None = None) -> Axis:
        """The axis on which all values fit, and some room where they are all the same, to floating point."""
        low, high = min([*values, *(least or ())]), max([*values, *(least or ())])
        if high - low <= max(1e-12 * max(abs(low), abs(high)), TINY):
            room = abs(low) / 2 if abs(low) > TINY else 1.0
            low, high = low - room, high + room
        return cls(low, high)

    def at(self, value: float) -> float:
        """Where a value stands, in per cent of the axis."""
        return round(100 * (value - self.low) / (self.high - self.low), 3)

    def ticks(self, *, whole: bool = False) -> list[dict[str, Any]]:
        """Multiples of 1, 2 or 5 times a power of ten; `whole`: of whole numbers alone."""
        rough = (self.high - self.low) / TICKS
        power = 10 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
        step = max(step, 1) if whole else step
        edge = 1e-9 * (self.high - self.low)  # a multiple at an end is on the axis, whatever rounding says
        first, last = math.ceil((self.low - edge) / step), math.floor((self.high + edge) / step)
        return [{"at": self.at(n * step), "text": f"{n * step:,.6g}"} for n in range(first, last + 1)]


def drawing(panel: Panel) -> dict[str, Any]:
    """A panel as the page draws it; y grows downward, as in SVG."""
    x = Axis.over([step for curve in panel.curves for step, _ in curve.points])
    y = Axis.over([value for curve in panel.curves for _, value in curve.points], panel.least)
    return {
        "title": panel.title,
        "unit": panel.unit,
        "x_ticks": x.ticks(whole=True),
        "y_ticks": [{**tick, "at": round(100 - tick["at"], 3)} for tick in y.ticks()],
        "curves": [
            {
                "name": curve.name,
                "colour": curve.colour,
                "first": curve.points[0][1],
                "last": curve.points[-1][1],
                "points": [(x.at(step), round(100 - y.at(value), 3)) for step, value in _thinned(curve.points)],
                "dots": curve.colour == "held_out" or len(curve.points) == 1,
            }
            for curve in panel.curves
        ],
    }


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    every = -(-len(points) // POINTS)
    kept = points[::every]
    return kept if kept[-1] == points[-1] else [*kept, points[-1]]


def scatter(points: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Points of any x and y, as the page draws them, with the two lines where x and y are 0."""
    points = sorted(points)
    x, y = Axis.over([x for x, _ in points], (0, 0)), Axis.over([y for _, y in points], (0, 0))
    return {
        "x_ticks": x.ticks(whole=True),
        "y_ticks": [{**tick, "at": round(100 - tick["at"], 3)} for tick in y.ticks()],
        "zero": (x.at(0), round(100 - y.at(0), 3)),
        "points": [(x.at(one), round(100 - y.at(other), 3)) for one, other in _thinned(points)],
    }
