"""Checkpoints that are whole or are not there, and which of them a run may continue from.

A checkpoint is written under another name and renamed when its marker is in it, which has the hash of every file, the
run's fingerprint and a hash of what it says itself. So one that is torn, damaged or another run's is recognised, and
the newest whole one of this run is taken. Older ones are removed only then.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steps.shared import contract
from steps.shared.contract import StepError

log = logging.getLogger(__name__)

MARKER = "complete.json"
OWN_HASH = "sha256"  # of the marker's other values
STAGING = ".incomplete"
PREFIX = "checkpoint-"
# What SageMaker puts beside a file while it copies it to S3, and afterwards: they come and go as it likes.
OF_THE_PLATFORM = (".sagemaker-uploading", ".sagemaker-uploaded")


@dataclass(frozen=True)
class World:
    """How a run's batches are made: this many processes, with this many forward passes to an optimizer step."""

    processes: int
    accumulation: int

    def of(self, processes: int) -> World:
        """The world of another number of processes whose optimizer steps see the same rows.

        Raises:
            StepError: the passes of a step cannot be shared out evenly.
        """
        passes = self.processes * self.accumulation
        if passes % processes:
            possible = ", ".join(str(count) for count in range(1, passes + 1) if passes % count == 0)
            raise StepError(
                f"the checkpoints are of {self.processes} processes with gradient_accumulation_steps "
                f"{self.accumulation}; {processes} processes cannot make the same batches: use {possible} processes, "
                "or start without the checkpoints"
            )
        return World(processes, passes // processes)


@dataclass
class Marker:
    """What is written into a finished checkpoint: the run's fingerprint, its world, and what was found out on the way.

    `facts` are plain data: the held-out figures of the start (`before`), the metrics of the steps (`history`) and,
    with early stopping, the best evaluation (`best`).
    """

    fingerprint: str
    world: World
    facts: dict[str, Any] = field(default_factory=dict)

    def write(self, checkpoint: Path) -> None:
        files = {name: contract.sha256(checkpoint / name) for name in _files(checkpoint)}
        value = {"fingerprint": self.fingerprint, "world": vars(self.world), "facts": self.facts, "files": files}
        contract.write_json(checkpoint / MARKER, value | {OWN_HASH: _hash_of(value)})


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint of the run.

    Attributes:
        files: name -> SHA-256 of each of its files, the marker's too.
    """

    path: Path
    world: World
    facts: dict[str, Any]
    files: dict[str, str]


@dataclass(frozen=True)
class _Written:
    """A marker as it was read and is not damaged."""

    fingerprint: str
    world: World
    facts: dict[str, Any]
    files: dict[str, str]


def _read_marker(path: Path) -> _Written:
    """
    Raises:
        ValueError, OSError: it is missing, or not what `Marker.write` wrote.
    """
    value = json.loads((path / MARKER).read_text(encoding="utf-8"))
    if not isinstance(value, dict) or value.pop(OWN_HASH, None) != _hash_of(value):
        raise ValueError(f"{MARKER} has not the bytes that were written")
    try:
        return _Written(value["fingerprint"], World(**value["world"]), value["facts"], value["files"])
    except (KeyError, TypeError) as error:  # as another version of this code wrote it
        raise ValueError(f"{MARKER} is of another form: {error}") from None


def _hash_of(value: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def fingerprint(parts: dict[str, Any]) -> str:
    """A stable hash of everything that decides a run's outcome."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def step_of(path: Path) -> int:
    return int(path.name.removeprefix(PREFIX))


def place_of(folder: Path, step: int) -> Path:
    return folder / f"{PREFIX}{step}"


def newest(folder: Path, wanted: str) -> Checkpoint | None:
    """The newest whole checkpoint of the run `wanted`; None to start from the beginning.

    What is passed over is logged with the reason.
    """
    for path in _newest_first(folder):
        found = _read(path, wanted)
        reason = found if isinstance(found, str) else _without_best(found, wanted)
        if isinstance(found, Checkpoint) and not reason:
            return found
        log.warning("%s is passed over: %s", path.name, reason)
    return None


def _read(path: Path, wanted: str) -> Checkpoint | str:
    """A checkpoint, or why it is not one that the run `wanted` may continue from."""
    try:
        marker = _read_marker(path)
        files = marker.files | {MARKER: contract.sha256(path / MARKER)}
    except (OSError, ValueError, RecursionError):
        return f"it is not whole ({MARKER} is missing or damaged)"
    if marker.fingerprint != wanted:
        return "it belongs to a run with other data, model or arguments"
    for name, digest in marker.files.items():
        if not (path / name).is_file():
            return f"{name} is missing"
        if contract.sha256(path / name) != digest:
            return f"{name} is damaged: it has not the bytes that were written"
    return Checkpoint(path, marker.world, marker.facts, files)


def _without_best(checkpoint: Checkpoint, wanted: str) -> str | None:
    """Why the best checkpoint of a run with early stopping, which may be its result, is no use; None where it is."""
    best = checkpoint.facts.get("best")
    if not best or best["step"] == step_of(checkpoint.path):
        return None
    place = place_of(checkpoint.path.parent, best["step"])
    found = _read(place, wanted)
    return f"its best one, {place.name}, cannot be used: {found}" if isinstance(found, str) else None


def clear_staging(folder: Path) -> None:
    """Remove what an earlier start began to write and did not finish; it is logged by name."""
    staging = folder / STAGING
    if not staging.is_dir():
        return
    left = sorted(path.name for path in staging.iterdir())
    shutil.rmtree(staging, ignore_errors=True)  # the platform may take its own files away meanwhile
    if left:
        log.warning("%d unfinished of an earlier start removed from %s: %s", len(left), staging, ", ".join(left))


def publish(staged: Path, place: Path) -> None:
    """Rename a finished checkpoint into its place, instead of one there that was passed over."""
    shutil.rmtree(place, ignore_errors=True)
    os.replace(staged, place)


def outdated(folder: Path, own: str, keep: int, best: int | None) -> list[str]:
    """The names of the run's checkpoints but for the newest `keep` and that of the step `best`, and of torn ones.

    Those of other runs are not among them: they are another's to remove.
    """
    names, whole = [], 0
    for path in _newest_first(folder):
        try:
            is_own = _read_marker(path).fingerprint == own
        except (OSError, ValueError, RecursionError):
            names.append(path.name)
            continue
        whole += is_own
        if is_own and whole > keep and step_of(path) != best:
            names.append(path.name)
    return names


def remove(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        shutil.rmtree(folder / name, ignore_errors=True)


def _newest_first(folder: Path) -> list[Path]:
    found = [path for path in folder.glob(f"{PREFIX}*") if path.is_dir() and path.name.removeprefix(PREFIX).isdigit()]
    return sorted(found, key=step_of, reverse=True)


def _files(checkpoint: Path) -> Iterator[str]:
    for path in sorted(checkpoint.rglob("*")):
        if path.is_file() and not path.name.endswith(OF_THE_PLATFORM):
            yield path.relative_to(checkpoint).as_posix()
