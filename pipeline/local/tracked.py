"""What the trackers of a local training got, from the account that it left, and the command that sends the rest."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from pydantic import BaseModel, RootModel

from pipeline.errors import UserError
from pipeline.local.outputs import Outputs
from pipeline.local.state.records import Execution

AND = "&&"


class Told(BaseModel):
    """What is read of one tracker in Train's tracking.json."""

    delivered: int
    undelivered: dict[str, int]
    refused: list[str]
    closed: bool
    last_error: str | None = None
    to_send: str | None = None
    checkpoints: str | None = None  # the folder that `to_send` names, as the job saw it


class Account(RootModel[dict[str, Told]]):
    """Train's tracking.json: an entry for each tracker."""


def tracked(left: Outputs, execution: Execution) -> dict[str, dict[str, Any]]:
    """By tracker: entries `delivered` of how many, and where not all arrived `why` and a command `to_send`."""
    given = left.file("Gate", "decision", "tracking.json", Account, optional=True)
    found: dict[str, dict[str, Any]] = {}
    for name, told in Account.model_validate(given or {}).root.items():
        missing = sum(told.undelivered.values()) + len(told.refused)
        found[name] = {"delivered": told.delivered, "entries": told.delivered + missing}
        if missing or not told.closed:
            why = told.last_error or "; ".join(told.refused) or "the run's end was not told"
            found[name] |= {"why": why, "to_send": _command(told, _checkpoints(left, execution))}
    return found


def lines(found: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    """The lines of a summary about trackers that did not get everything."""
    said = []
    for name, told in found.items():
        if "why" in told:
            send = f"; send the rest: {told['to_send']}" if told["to_send"] else ""
            got = f"{name} got {told['delivered']} of {told['entries']} entries"
            said.append(("warning", f"{got}: {told['why']}{send}"))
    return said


def _command(told: Told, checkpoints: Path | None) -> str | None:
    """The training's own command, with the folder of checkpoints where it lies now; None where that is not known."""
    if not told.to_send or not told.checkpoints or checkpoints is None:
        return None
    words = [word.replace(told.checkpoints, str(checkpoints), 1) for word in shlex.split(told.to_send)]
    return " ".join(word if word == AND else shlex.quote(word) for word in words)


def _checkpoints(left: Outputs, execution: Execution) -> Path | None:
    """Where the training's checkpoints are stored: a cached training's are those of the job that once ran."""
    log = execution.step("Train").log
    if log is None:
        return None
    try:
        request = json.loads((Path(log).parent / "request.json").read_text(encoding="utf-8"))
        return left.store.path(str(request["CheckpointConfig"]["S3Uri"]))
    except (OSError, ValueError, KeyError, TypeError, UserError):  # removed or damaged since: there is no command then
        return None
