"""Capture files of SageMaker's endpoints: JSON Lines, one request with its answer a line.

Form: docs.aws.amazon.com/sagemaker, "Capture data from real-time endpoint": `captureData.endpointInput` and
`.endpointOutput` with `data`, `encoding` (JSON, BASE64, CSV) and `observedContentType`; `eventMetadata` with `eventId`,
`inferenceTime` and, where the caller named one, `inferenceId`. Keys: PREFIX/endpoint/variant/yyyy/mm/dd/hh/NAME.jsonl;
`deploy --capture` puts `version-N` before them, and `try` writes the same here. `try` and others' tools need not: what
a path does not tell is unknown. Limits: plain `.jsonl`, which is all that SageMaker writes; a line is read by itself.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from steps.shared import folders
from steps.shared.contract import StepError

SUFFIX = ".jsonl"
PATH = re.compile(
    r"(?:.*?/)??(?:version-(?P<version>\d+)/)?(?P<endpoint>[^/]+)/(?P<variant>[^/]+)/\d{4}/\d\d/\d\d/\d\d/[^/]+"
)


class Place(NamedTuple):
    """Where a line stands: the number of its file, its first byte, its bytes, and its number from 1."""

    file: int
    offset: int
    size: int
    line: int


@dataclass(frozen=True)
class Origin:
    """What answered, as far as a file's path tells; None where it does not."""

    version: str | None
    endpoint: str | None
    variant: str | None


class Unreadable(Exception):
    """A line, or one half of it, that is not what it must be; `str(error)` says why, without quoting what was said."""


@dataclass(frozen=True)
class Head:
    """What a captured line is found by.

    Attributes:
        ids: the caller's own id, where it named one, and the event's; never empty.
        time: when it was answered, as the line has it (ISO 8601); None where it has none.
        data: `captureData`.
    """

    ids: tuple[str, ...]
    time: str | None
    data: Mapping[str, Any]


class CaptureFiles:
    """The capture files of a folder, in the order of their names; a line can be read again by its place."""

    def __init__(self, folder: Path) -> None:
        """
        Raises:
            StepError: the folder cannot be entered.
        """
        self.folder = folder
        self.paths = jsonl_files(folder)
        self.origins = [origin_of(path.relative_to(folder).as_posix()) for path in self.paths]

    def lines(self) -> Iterator[tuple[Place, bytes]]:
        """Every line that is not blank."""
        for number, path in enumerate(self.paths):
            offset = 0
            with open(path, "rb") as file:
                for count, line in enumerate(file, 1):
                    if not line.isspace():
                        yield Place(number, offset, len(line), count), line
                    offset += len(line)

    def read(self, place: Place) -> bytes:
        """A line again."""
        with open(self.paths[place.file], "rb") as file:
            file.seek(place.offset)
            return file.read(place.size)

    def name(self, place: Place) -> str:
        """How reports name the file of a line."""
        return self.paths[place.file].relative_to(self.folder).as_posix()


def jsonl_files(folder: Path) -> list[Path]:
    """The `.jsonl` files below a folder by name, hidden ones aside; none where there is no such folder.

    Raises:
        StepError: a folder cannot be entered.
    """
    if not folder.is_dir():
        return []
    try:
        walked = list(folders.walk(folder, skip=lambda name: name.startswith(".")))
    except OSError as error:
        raise StepError(f"{error.filename}: cannot be entered ({error.strerror}); make it readable") from None
    found = (here / name for here, names in walked for name in names)
    return sorted(path for path in found if path.name.endswith(SUFFIX) and not path.name.startswith("."))


def origin_of(path: str) -> Origin:
    """What a file's path below the captures' folder tells."""
    found = PATH.fullmatch(path)
    return Origin(found["version"], found["endpoint"], found["variant"]) if found else Origin(None, None, None)


def head_of(line: bytes) -> Head:
    """
    Raises:
        Unreadable: it is no capture.
    """
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"not JSON ({error})") from None
    data = value.get("captureData") if isinstance(value, dict) else None
    about = value.get("eventMetadata") if isinstance(value, dict) else None
    if not isinstance(data, dict) or not isinstance(about, dict):
        raise Unreadable("no object with captureData and eventMetadata")
    named = (about.get("inferenceId"), about.get("eventId"))
    ids = tuple(dict.fromkeys(one for one in named if isinstance(one, str) and one))
    if not ids:
        raise Unreadable("eventMetadata has neither an inferenceId nor an eventId")
    time = about.get("inferenceTime")
    return Head(ids, time if isinstance(time, str) else None, data)


def body_of(head: Head, side: str) -> bytes:
    """What was sent (`endpointInput`) or answered (`endpointOutput`), decoded.

    Raises:
        Unreadable: it was not captured, or in a form that is no JSON text.
    """
    half = head.data.get(side)
    if not isinstance(half, dict) or not isinstance(half.get("data"), str):
        raise Unreadable(f"{side} was not captured")
    encoding = half.get("encoding")
    if encoding == "JSON":
        return half["data"].encode()
    if encoding != "BASE64":
        raise Unreadable(f"{side} is captured as {str(encoding)[:20]}, which is no JSON")
    try:
        return base64.b64decode(half["data"], validate=True)
    except (binascii.Error, ValueError):
        raise Unreadable(f"{side} is not BASE64, as it says") from None
