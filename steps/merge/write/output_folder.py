"""The output folder: complete or not at all, and what an interrupted run may leave in it.

Everything is written into `.incomplete` inside it, because SageMaker makes (or mounts) the empty folder beforehand, and
moved up at the end: config.json, without which nothing loads, last but one, and manifest.json last. A run that was
killed, or whose disk was full, leaves its finished shards there and a journal that names them; the next run of the same
base and adapter goes on from them. Any other failure clears all of it. A run holds the folder
(`steps/shared/folders.py`): a second one is refused.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from steps.merge.write.journal import JOURNAL
from steps.merge.write.shards import PART
from steps.shared.contract import StepError

MANIFEST = "manifest.json"
STAGING = ".incomplete"
LAST = ("config.json", MANIFEST)


def check(output: Path) -> None:
    """Changes nothing.

    Raises:
        StepError: the folder holds something that no interrupted merge left.
    """
    if output.exists() and not output.is_dir():
        raise StepError(f"{output}: is not a folder; give another --output")
    present = {path.name for path in output.iterdir()} if output.exists() else set()
    foreign = sorted(present - {STAGING} - _moved(output))
    if foreign:
        raise StepError(f"{output}: is not empty: it holds {foreign[0]}; give another --output, or empty it first")


def check_space(output: Path, size: int) -> None:
    """Changes nothing.

    Raises:
        StepError: the disk has not `size` bytes to spare.
    """
    folder = next(parent for parent in (output, *output.absolute().parents) if parent.is_dir())
    free = shutil.disk_usage(folder).free
    if free < size:
        raise StepError(
            f"{output}: the merged model needs {size / 1e9:.2f} GB, {free / 1e9:.2f} GB are free there; "
            "make room or give another --output (in a pipeline: a larger volume_gb for the merge)"
        )


def reopen(output: Path) -> Path:
    """The staging folder, in which what an interrupted run had begun to publish waits again."""
    staging = output / STAGING
    for name in _moved(output):
        if (output / name).exists():
            os.replace(output / name, staging / name)
    (staging / MANIFEST).unlink(missing_ok=True)
    return staging


@contextmanager
def staged(output: Path) -> Iterator[Path]:
    """The folder to write to; published when the block ends. A failure to write leaves what the next run can use.

    Raises:
        StepError: writing failed.
    """
    staging = output / STAGING
    try:
        staging.mkdir(parents=True, exist_ok=True)
        yield staging
        _publish(output)
    except (OSError, KeyboardInterrupt) as error:
        for path in staging.glob(f"*{PART}"):
            path.unlink()
        kept = "its finished shards are kept, and the same command goes on from them"
        if not list(staging.glob("*.safetensors")):
            clear(output)
            kept = "nothing is left of it"
        if isinstance(error, KeyboardInterrupt):
            raise
        said = f"{output}: writing the merged model failed ({error}); {kept}: fix that and run again"
        raise StepError(said) from None
    except BaseException:
        clear(output)
        raise


def _publish(output: Path) -> None:
    staging = output / STAGING
    names = [path.name for path in staging.iterdir() if path.name not in (*LAST, JOURNAL)]
    for name in (*names, *LAST):
        os.replace(staging / name, output / name)
    shutil.rmtree(staging)


def clear(output: Path) -> None:
    """Remove all that a merge wrote into a folder and did not publish."""
    for name in _moved(output):
        path = output / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    shutil.rmtree(output / STAGING, ignore_errors=True)


def _moved(output: Path) -> set[str]:
    """What an interrupted run may have moved up already: its manifest, still in staging, says so."""
    manifest = output / STAGING / MANIFEST
    if not manifest.is_file():
        return set()
    try:
        names = json.loads(manifest.read_text(encoding="utf-8"))["files"]
        return {Path(name).parts[0] for name in names}
    except (ValueError, LookupError, TypeError, RecursionError):  # damaged: it tells nothing
        return set()
