"""A client of a tracking service as the training sees it, whichever service that is, and what it is told."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Status = Literal["FINISHED", "FAILED", "KILLED"]


class Refused(Exception):
    """The tracker answered and will never take this entry: to try again is of no use."""


@dataclass(frozen=True)
class Entry:
    """One thing to tell a tracker.

    Attributes:
        kind: params are told once, metrics belong to a step, a report is a JSON document, a text a file by its name, a
            table by its name `columns` and `data`, the cells of its rows.
        milliseconds: when it happened, since 1970.
    """

    kind: Literal["params", "metrics", "report", "text", "table"]
    values: dict[str, Any]
    step: int = 0
    milliseconds: int = field(default_factory=lambda: time.time_ns() // 1_000_000)


class Tracker(Protocol):
    """A client of a tracking service. Its methods are called from one thread and may raise anything."""

    @property
    def name(self) -> str:
        """The service's package."""

    @property
    def run_id(self) -> str | None:
        """The run's id in the service; None until it is known."""

    def open(self) -> None:
        """Connect, and start or continue the run."""

    def send(self, entry: Entry) -> None:
        """Tell one entry. Raises Refused where the service will never take it."""

    def close(self, status: Status) -> None:
        """End the run, with everything told."""

    def place(self) -> dict[str, Any]:
        """Where the run is to be found, as tracking.json says it."""

    def sync_commands(self, *, closed: bool) -> list[str]:
        """The commands that send what the client itself has kept on the disk; `closed`: the run's end was told."""
