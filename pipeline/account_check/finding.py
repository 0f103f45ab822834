"""One thing that `check --account` found: what is wrong, where it is set, and how to fix it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# error: an execution would fail. warning: it would not, and something is amiss all the same. unknown: it could not be
# looked at. note: nothing is wrong.
Level = Literal["error", "warning", "unknown", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "unknown", "note")


@dataclass(frozen=True)
class Finding:
    """
    Attributes:
        what: what is wrong, in one sentence.
        fix: the next command, the console's page or the policy statement; empty for a note.
        subject: what was looked at, as `bucket`.
        where: the file, line and key of the setting that it is about.
    """

    level: Level
    what: str
    fix: str = ""
    subject: str = ""
    where: str = ""


def error(what: str, fix: str) -> Finding:
    """An execution would fail."""
    return Finding("error", what, fix)


def warning(what: str, fix: str) -> Finding:
    """Nothing would fail for certain."""
    return Finding("warning", what, fix)


def unknown(what: str, fix: str) -> Finding:
    """It could not be looked at, or not be decided from here."""
    return Finding("unknown", what, fix)


def note(what: str) -> Finding:
    """Nothing is wrong."""
    return Finding("note", what)
