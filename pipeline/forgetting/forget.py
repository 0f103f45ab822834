"""What is forgotten of a person or an answer, and what cannot be.

Runs lose their rows first, then the lines go, a person's own feedback last: whoever is interrupted and asks again finds
what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from pipeline.forgetting import runs, whose
from pipeline.forgetting.places import CAPTURES, FEEDBACK, Edit, Place
from pipeline.forgetting.runs import Derived
from pipeline.forgetting.whose import Asked, Lines, Whose

STAYS = (
    "the given data (InputDataUri) and whatever else people copied: look through it yourself",
    "figures and hashes of rows in evaluation.json and Preprocess's report: they hold no text",
)


@dataclass(frozen=True)
class Forgettable:
    """What would go.

    Attributes:
        asked: whom or what it is of.
    """

    asked: Asked
    lines: Lines
    derived: Derived
    whose: Whose

    @property
    def empty(self) -> bool:
        return not any(self.lines.gone.values()) and not self.derived.runs

    def told(self) -> list[str]:
        """What goes, in words."""
        gone, files = self.lines.gone, (self.lines.captures, self.lines.others.keys() | self.lines.own)
        said = [
            f"{count} {what} in {len(of)} files"
            for count, what, of in zip(gone.values(), ("captures", "lines of feedback"), files, strict=True)
        ]
        if self.derived.runs:
            said.append(f"all rows and quotations of {len(self.derived.runs)} runs: {', '.join(self.derived.runs)}")
        return said

    def stays(self) -> list[str]:
        """What stays, with what to do about it."""
        said = list(STAYS)
        if self.derived.runs:
            said.insert(
                0,
                f"weights and checkpoints that learned from it, of {', '.join(self.derived.runs)}: train anew, then "
                "reject and undeploy their versions",
            )
        if self.lines.judged:
            said.append(
                f"{self.lines.judged} captures that {self.asked.name} gave feedback on, and that do not name them: "
                "with --with-answers these go too"
            )
        if self.lines.unread:
            said.append(f"{self.lines.unread} lines that are no JSON, of which nobody can tell whose they are")
        return said


def find(place: Place, asked: Asked, executions: Iterable[str] = ()) -> Forgettable:
    """Look for all of it; changes nothing.

    Args:
        executions: that may have left something beside their objects.
    """
    lines, tells = whose.find(place, asked)
    return Forgettable(asked, lines, runs.find(place, lines.ids, executions), tells)


def forget(place: Place, found: Forgettable, beside: Callable[[], None] = lambda: None) -> list[str]:
    """Do it; returns what stays although it should go, with the reason.

    Args:
        beside: removes what runs left beside their objects.
    """
    lines = found.lines
    beside()
    kept = place.apply(found.derived.delete, found.derived.change)
    kept += _apply(place, lines.others, partial(_without, found.whose.others))
    kept += _apply(place, lines.captures, partial(_without, found.whose.capture))
    return kept + _apply(place, lines.own, partial(_without, found.whose.own))


def document(found: Forgettable, kept: Iterable[str], *, done: bool) -> dict[str, object]:
    """The same as one JSON document."""
    return {
        "of": found.asked.name,
        "forgotten": done,
        CAPTURES: found.lines.gone[CAPTURES],
        FEEDBACK: found.lines.gone[FEEDBACK],
        "runs": found.derived.runs,
        "stays": [*found.stays(), *kept],
    }


def _apply(place: Place, stay: Mapping[str, int], edit: Edit) -> list[str]:
    """Files in which no line stays are deleted."""
    delete = [name for name, lines in stay.items() if not lines]
    return place.apply(delete, {name: edit for name, lines in stay.items() if lines})


def _without(goes: Callable[[bytes], bool], content: bytes) -> bytes:
    return b"".join(line for line in content.splitlines(keepends=True) if not line.strip() or not goes(line))
