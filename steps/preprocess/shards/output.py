"""The output folder: everything is written beside its place and moved there at the end, the report last.

SageMaker creates train/, validation/, quarantine/ and report/ beforehand and may mount them, so existing empty
folders are filled rather than replaced. report/report.json marks a complete output; a run killed before leaves
`.incomplete` only, which the next run removes. What a failed run has to show stays in `failed/`. A run holds the folder
(`steps/shared/folders.py`): a second one is refused.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from steps.shared.contract import StepError

PARTS = ("train", "validation", "quarantine", "report")  # in the order in which they are published
FAILED = "failed"
STAGING = ".incomplete"
QUARANTINE_FILE = "quarantine.jsonl"


def prepare(output: Path) -> Path:
    """Make the folder that a run writes to, and return it.

    Raises:
        StepError: the output folder cannot be used, or holds an earlier output, which is never overwritten.
    """
    full = [name for name in PARTS if _holds_something(output / name)]
    if full:
        raise StepError(f"{output}: {full[0]}/ is not empty; give another --output, or remove the earlier output first")
    staging = output / STAGING
    try:
        shutil.rmtree(staging, ignore_errors=True)
        for name in PARTS:
            (staging / name).mkdir(parents=True)
    except OSError as error:
        raise StepError(f"{output}: cannot write there ({error}); give another --output") from None
    return staging


def _holds_something(path: Path) -> bool:
    return path.exists() and (not path.is_dir() or any(path.iterdir()))


def publish(output: Path) -> None:
    """Move the finished parts to their places, and forget an earlier failure."""
    shutil.rmtree(output / FAILED, ignore_errors=True)
    for name in PARTS:
        _move(output / STAGING / name, output / name)
    discard(output)


def _move(source: Path, target: Path) -> None:
    try:
        os.rename(source, target)
    except OSError:  # the target is a mount point or a link: fill it, file by file
        for file in sorted(path for path in source.rglob("*") if path.is_file()):
            place = target / file.relative_to(source)
            place.parent.mkdir(exist_ok=True)
            beside = place.with_name(f".{place.name}.tmp")
            shutil.copyfile(file, beside)
            os.replace(beside, place)


def join_quarantine(folder: Path) -> None:
    """Make one file of the shards' parts, each shard's own rows before those that the other rows condemned."""
    parts = sorted(folder.iterdir(), key=lambda path: (path.name.split("-")[1][:5], "dropped" in path.name))
    with open(folder / QUARANTINE_FILE, "wb") as whole:
        for part in parts:
            with open(part, "rb") as file:
                shutil.copyfileobj(file, whole)
            part.unlink()


def keep_failed(output: Path) -> Path:
    """Keep the quarantine and the report of a failed run, in place of an earlier one's, and return their folder."""
    failed = output / FAILED
    shutil.rmtree(failed, ignore_errors=True)
    failed.mkdir()
    for name in ("quarantine", "report"):
        for file in (output / STAGING / name).iterdir():
            os.replace(file, failed / file.name)
    return failed


def discard(output: Path) -> None:
    shutil.rmtree(output / STAGING, ignore_errors=True)
