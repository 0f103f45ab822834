"""The output folder: complete or not at all.

Everything is written into `.incomplete` inside it, because SageMaker makes (or mounts) the empty folder beforehand, and
moved up at the end: config.json, without which nothing loads, last but one, and manifest.json last. An exception clears
all of it; what a killed run left is recognised and cleared by the next. One run at a time may write.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from steps.contract import StepError

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


@contextmanager
def staged(output: Path, size: int) -> Iterator[Path]:
    """The folder to write `size` bytes to; published when the block ends, cleared when it fails.

    Raises:
        StepError: there is not enough space, or writing failed.
    """
    from safetensors import SafetensorError

    try:
        _clear(output)
        (output / STAGING).mkdir(parents=True)
        free = shutil.disk_usage(output).free
        if free < size:
            raise StepError(
                f"{output}: the merged model needs {size / 1e9:.2f} GB, {free / 1e9:.2f} GB are free there; "
                "make room or give another --output (in a pipeline: a larger volume_gb for the merge)"
            )
        yield output / STAGING
        _publish(output)
    except BaseException as error:
        _clear(output)
        if isinstance(error, OSError | SafetensorError):  # SafetensorError: how save_file reports a full disk
            raise StepError(f"{output}: writing the merged model failed ({error}); mend that and run again") from None
        raise


def _publish(output: Path) -> None:
    names = [path.name for path in (output / STAGING).iterdir() if path.name not in LAST]
    for name in (*names, *LAST):
        os.replace(output / STAGING / name, output / name)
    (output / STAGING).rmdir()


def _clear(output: Path) -> None:
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
    return {Path(name).parts[0] for name in json.loads(manifest.read_text(encoding="utf-8"))["files"]}
