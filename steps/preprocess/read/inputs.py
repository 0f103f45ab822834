"""The data files below a path. Chooses by name; opens none but the list of files that `save_to_disk` leaves."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from steps.shared.contract import StepError, read_json, special
from steps.shared.folders import walk
from steps.shared.records import MADE, OF_CANARY

TEXTS = (".json", ".jsonl", ".ndjson", ".csv", ".tsv")
SUFFIXES = (*TEXTS, *(text + packed for text in TEXTS for packed in (".gz", ".zst")), ".parquet", ".arrow", ".feather")
SHOWN = 5  # of names in a message
STATE = "state.json"  # what save_to_disk of datasets leaves in a folder of rows,
SPLITS = "dataset_dict.json"  # and above several of them
DATA = "|".join(re.escape(suffix) for suffix in (*TEXTS, ".parquet", ".arrow", ".feather"))
UNREAD_PACKING = re.compile(
    rf".*(?:(?:{DATA})\.(?:gz|zst|zstd|bz2|xz|lzma|lz4|br|sz|snappy|z)"
    r"|\.(?:zip|7z|rar|tgz|tbz2?|txz)|\.tar(?:\.\w{1,5})?)",
    re.IGNORECASE,
)  # of names that say data, or an archive that may hold some
INFO = ("dataset_info.json", "dataset_infos.json")  # beside either, and beside the files of the Hub


@dataclass(frozen=True)
class Inputs:
    """The files to read, each with the name that reports give it, and the names of those that are left alone."""

    files: list[tuple[str, Path]]
    ignored: list[str]
    splits: tuple[str, ...] = ()  # of a DatasetDict, all of which are read


@dataclass(frozen=True)
class Data:
    """All that a run reads: its data, and the sets that the user holds out, with labels of their own."""

    files: list[tuple[str, Path]]
    validation: list[tuple[str, Path]]
    ignored: list[str]
    splits: tuple[str, ...] = ()


def find_data(
    path: Path,
    validation_data: Path | None,
    feedback_data: Path | None = None,
    candidate_data: Path | None = None,
    canary: Path | None = None,
) -> Data:
    """The files of all. Pairs that steps before have made come after the others, and are data as they; the canary set
    comes before the validation set, so that a row in both is the canary's.

    Raises:
        StepError: as `find_inputs`; or a file has a name by which such pairs or a canary set are known.
    """
    inputs = find_inputs(path)
    whose = {**dict.fromkeys(MADE, "pairs that a step makes"), OF_CANARY: "a canary set"}
    for label, start in ((label, start) for label, _ in inputs.files for start in whose if label.startswith(start)):
        raise StepError(f"{path}: {label}: the names of {whose[start]} begin with {start}; rename it")
    files = list(inputs.files)
    for start, folder in zip(MADE, (feedback_data, candidate_data), strict=True):
        files += [(f"{start}{label}", file) for label, file in find_inputs(folder).files] if folder else []
    held_out = find_inputs(validation_data).files if validation_data else []
    validation = [(f"validation:{label}", file) for label, file in held_out]
    canaries = find_inputs(canary).files if canary else []
    validation = [*((f"{OF_CANARY}{label}", file) for label, file in canaries), *validation]
    return Data(files, validation, inputs.ignored, inputs.splits)


def find_inputs(path: Path) -> Inputs:
    """The data files of a folder and the folders in it, in the order of their names; or the one file.

    Hidden files are left alone and not named; links are followed, to folders too. Of a folder that `save_to_disk`
    wrote, the files that it lists are read.

    Raises:
        StepError: there is no such path, no data file in it, a folder that cannot be entered, a file that would be data
            unpacked, or a file is gone that the folder lists.
    """
    if found_instead := special(path):
        raise StepError(f"{path}: must be a data file or a folder of them, not {found_instead}")
    if path.is_file():
        return Inputs([(_label(path.name), path)], [])
    if not path.is_dir():
        raise StepError(f"{path}: no such file or folder; --input must name a data file or a folder of them")
    found: list[tuple[str, Path]] = []
    ignored: list[str] = []
    packed: list[str] = []
    splits: list[str] = []
    for folder, names in _folders(path):
        listed = _listed(folder, names)
        if SPLITS in names:
            splits += [str(name) for name in read_json(folder / SPLITS, "the list of splits").get("splits", [])]
        for name in names:
            file = folder / name
            label = _label(file.relative_to(path).as_posix())
            if name.startswith("."):
                continue
            if found_instead := special(file):
                raise StepError(f"{file}: is {found_instead}, which is not read; take it out of the folder")
            if _is_data(name, names, listed):
                found.append((label, file))
            else:
                ignored.append(label)
                if listed is None and UNREAD_PACKING.fullmatch(name):
                    packed.append(label)
    _refuse_packed(path, packed)
    if not found:
        others = f" (it holds {', '.join(sorted(ignored)[:SHOWN])})" if ignored else ""
        raise StepError(f"{path}: no data file in this folder{others}; readable are {', '.join(SUFFIXES)}")
    return Inputs(sorted(found), sorted(ignored), tuple(splits))


def _folders(path: Path) -> Iterator[tuple[Path, list[str]]]:
    try:
        yield from walk(path, skip=lambda name: name.startswith("."))
    except OSError as error:
        raise StepError(
            f"{error.filename}: this folder cannot be entered ({error.strerror}), and data is read whole; make it "
            "readable, or take it out of the folder"
        ) from None


def _refuse_packed(path: Path, packed: Sequence[str]) -> None:
    if packed:
        more = f" and {len(packed) - SHOWN} more" if len(packed) > SHOWN else ""
        raise StepError(
            f"{path}: {', '.join(sorted(packed)[:SHOWN])}{more} would be left out: packed in a way that is not read; "
            "unpack it (texts may be compressed with gzip or zstd), or take it out of the folder"
        )


def _is_data(name: str, names: Sequence[str], listed: Sequence[str] | None) -> bool:
    if listed is not None:
        return name in listed
    about = name == SPLITS or (name in INFO and len(names) > 1)
    return name.lower().endswith(SUFFIXES) and not about


def _listed(folder: Path, names: Sequence[str]) -> list[str] | None:
    """The files that are the data set of a folder which `save_to_disk` wrote; None for any other folder.

    Others lie there too, such as those that `map` keeps its results in.
    """
    if STATE not in names or INFO[0] not in names:
        return None
    state = read_json(folder / STATE, "the list of the data set's files")
    if state.get("_indices_data_files"):
        raise StepError(f"{folder}: this data set is a selection of its files' rows; save it with flatten_indices()")
    listed = [file["filename"] for file in state.get("_data_files", [])]
    gone = [name for name in listed if name not in names]
    if gone:
        raise StepError(
            f"{folder}: {', '.join(gone[:SHOWN])} of {len(listed)} files of this data set are missing; copy it again"
        )
    return listed


def _label(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "replace")
