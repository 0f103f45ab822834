"""The data files below a path. Chooses by name alone, and opens none."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from steps.shared.contract import StepError

TEXTS = (".json", ".jsonl", ".ndjson")
SUFFIXES = (*TEXTS, *(text + packed for text in TEXTS for packed in (".gz", ".zst")), ".parquet")


@dataclass(frozen=True)
class Inputs:
    """The files to read, each with the name that reports give it, and the names of those that are left alone."""

    files: list[tuple[str, Path]]
    ignored: list[str]


@dataclass(frozen=True)
class Data:
    """All that a run reads: its data, and the validation set that the user brings, with labels of their own."""

    files: list[tuple[str, Path]]
    validation: list[tuple[str, Path]]
    ignored: list[str]


def find_data(path: Path, validation_data: Path | None) -> Data:
    """The files of both; raises as `find_inputs` does."""
    inputs = find_inputs(path)
    held_out = find_inputs(validation_data).files if validation_data else []
    return Data(inputs.files, [(f"validation:{label}", file) for label, file in held_out], inputs.ignored)


def find_inputs(path: Path) -> Inputs:
    """The data files of a folder and the folders in it, in the order of their names; or the one file.

    Hidden files are left alone and not named.

    Raises:
        StepError: there is no such path, or no data file in it.
    """
    if path.is_file():
        return Inputs([(_label(path.name), path)], [])
    if not path.is_dir():
        raise StepError(f"{path}: no such file or folder; --input must name a data file or a folder of them")
    found: list[tuple[str, Path]] = []
    ignored: list[str] = []
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            file = Path(folder, name)
            label = _label(file.relative_to(path).as_posix())
            if name.startswith("."):
                continue
            if name.lower().endswith(SUFFIXES):
                found.append((label, file))
            else:
                ignored.append(label)
    if not found:
        others = f" (it holds {', '.join(sorted(ignored)[:5])})" if ignored else ""
        raise StepError(f"{path}: no data file in this folder{others}; readable are {', '.join(SUFFIXES)}")
    return Inputs(sorted(found), sorted(ignored))


def _label(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "replace")
