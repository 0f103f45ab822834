"""What a comparison's picture is drawn of: headed axes, a legend beside them, shares with intervals, heat maps.

Limits: two versions, each in its colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.versions.judged import Kinds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#2f5bd7", "#d9772b")
GREY, GRID, INK = "#565e6c", "#e9ecf1", "#151922"
RIGHT, WRONG = "#0f7a4d", "#b9501a"  # of a heat map's fields, on its diagonal and beside it
KINDS = ("call", "ask", "decline", "answer")
APART = 0.17  # of a line's height: how far both versions' marks lie from its middle


@dataclass(frozen=True)
class Mark:
    """A share, its 95 % interval, and what stands beside it."""

    share: float
    low: float
    high: float
    said: str


def head(axes: Axes, title: str, said: str) -> None:
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_title(said, loc="right", fontsize="small", color=GREY)
    axes.grid(color=GRID)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def legend(axes: Axes) -> None:
    """Below the axes and their label: within them it would lie on what is drawn, wherever that is."""
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(-0.02, -0.13), ncols=3, fontsize="small",
                columnspacing=1.2, handletextpad=0.5)  # fmt: skip


def shares(axes: Axes, lines: Sequence[tuple[str, Sequence[Mark | None]]]) -> None:
    """Of each line both versions' shares, one below the other."""
    for place, (_, marks) in enumerate(lines):
        for shift, mark, colour in zip((-APART, APART), marks, COLOURS, strict=True):
            if mark is None:
                continue
            y, errors = place + shift, [[mark.share - mark.low], [mark.high - mark.share]]
            axes.errorbar(mark.share, y, xerr=errors, fmt="o", color=colour, capsize=3)
            axes.annotate(mark.said, (1.03, y), color=colour, va="center", fontsize="small", annotation_clip=False)
    axes.set_xlim(0, 1.01)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_yticks(range(len(lines)), [name for name, _ in lines])


def confusion(axes: Axes, title: str, counts: Kinds) -> None:
    """Chosen kinds down, said kinds across; a field is the warmer the larger its part of its line."""
    from matplotlib.colors import to_rgb

    kinds = [kind for kind in KINDS if sum(counts.get(kind, {}).values())]
    image = []
    for kind in kinds:
        line, total = counts[kind], sum(counts[kind].values())
        parts = [0.65 * line.get(said, 0) / total for said in KINDS]
        hues = [to_rgb(RIGHT if said == kind else WRONG) for said in KINDS]
        image.append([[1 - part * (1 - tone) for tone in hue] for part, hue in zip(parts, hues, strict=True)])
    head(axes, title, "down: chosen answer; across: what it says")
    axes.grid(visible=False)
    axes.imshow(image, aspect="auto")
    for y, kind in enumerate(kinds):
        for x, said in enumerate(KINDS):
            axes.annotate(f"{counts[kind].get(said, 0)}", (x, y), ha="center", va="center", color=INK)
    axes.set_xticks(range(len(KINDS)), KINDS)
    axes.set_yticks(range(len(kinds)), kinds)
