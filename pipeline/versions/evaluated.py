"""One version with what was measured of it, as the steps left it, held against what was registered.

Reads evaluation.json as the gate judged it, which the model package names, answers.jsonl beside it, and the manifest
of the adapter that the gate verified. Limits: checks these files, not the version's others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from pipeline.errors import UserError
from pipeline.versions import judged, served
from pipeline.versions.judged import ANSWERS, Figures, Margin, Question
from pipeline.versions.registry import ModelVersion, Options
from steps.shared import served_files
from steps.shared.serving import ADAPTER_FOLDER

SERVED = "../serving"  # seen from the gate's evaluation
MANIFEST = f"{SERVED}/{ADAPTER_FOLDER}/{served_files.MANIFEST}"
Read = Callable[[str], bytes | None]  # an S3 URI's content


class Evaluation(BaseModel):
    """What is read of an evaluation.json. Older ones have neither `served` nor `answers`, many no `canary`."""

    beta: float
    before: Figures
    after: Figures
    margins: Annotated[list[Margin], Field(min_length=1)]
    served: judged.Served | None = None
    answers: judged.Said | None = None
    canary: Figures | None = None


class Manifest(BaseModel):
    """What is read of the manifest of an adapter; nothing, where it is gone."""

    arguments: dict[str, Any] | None = None
    fingerprint: str | None = None
    files: dict[str, str] = {}


@dataclass(frozen=True)
class Side:
    """One version with what was measured of it.

    Attributes:
        arguments: the training's; None where its manifest is gone.
        training: what identifies the training run; two versions may come of one.
        questions: what it and its base answered, the worst first; empty where nothing was answered, or it is gone.
    """

    version: ModelVersion
    evaluation: Evaluation
    arguments: dict[str, Any] | None
    training: str | None
    questions: tuple[Question, ...] = ()

    @cached_property
    def margins(self) -> dict[str, float]:
        """By the id of the row."""
        return {row.id: row.margin for row in self.evaluation.margins}

    def as_served(self) -> Side | None:
        """This side with the figures and margins of the form that is served; None where that was not evaluated."""
        found = self.evaluation.served
        if not found or not found.evaluated:
            return None
        if found.same:
            return self
        own = {"before": found.before, "after": found.after, "margins": found.margins}
        return replace(self, evaluation=self.evaluation.model_copy(update=own))


def side(version: ModelVersion, read: Read, options: Options) -> Side:
    """A version with its evaluation and arguments.

    Raises:
        UserError: it has no evaluation, or a file is gone or not what it should be.
    """
    name, others = f"{version.group} version {version.version}", f"see the others: python pipeline.py models{options}"
    if version.metrics_uri is None:
        raise UserError(f"{name}: its package names no evaluation to compare; {others}")
    content = read(version.metrics_uri)
    if content is None:
        raise UserError(f"{name}: its evaluation {version.metrics_uri} is gone; {others}")
    manifest_uri = _beside(version.metrics_uri, MANIFEST)
    of_training = read(manifest_uri)
    _require_registered(version, content, of_training, read, options)
    try:
        evaluation = Evaluation.model_validate_json(content)
        manifest = Manifest.model_validate_json(of_training or b"{}")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        uri, what = (manifest_uri, "a manifest") if error.title == Manifest.__name__ else (
            version.metrics_uri, "an evaluation")  # fmt: skip
        raise UserError(f"{uri}: not {what}: {where}: {first['msg']}; {others}") from None
    questions: tuple[Question, ...] = ()
    if evaluation.answers and evaluation.answers.judged:
        known = None if of_training is None else manifest.files
        questions = _questions(version, _beside(version.metrics_uri, ANSWERS), read, known, options)
    return Side(version, evaluation, manifest.arguments, manifest.fingerprint, questions)


def _questions(
    version: ModelVersion, uri: str, read: Read, known: Mapping[str, str] | None, options: Options
) -> tuple[Question, ...]:
    """What was answered; empty where the file is gone.

    Args:
        known: the hashes of the files that training wrote, by their names; None where its manifest is gone.

    Raises:
        UserError: the file is not the one that training wrote, or a line of it is no answer.
    """
    content = read(uri)
    if content is None:
        return ()
    if known is not None and known.get(ANSWERS) != hashlib.sha256(content).hexdigest():
        error = served_files.FilesDiffer(f"{ANSWERS} has another content than the registered one")
        raise served.swapped(version, uri.rpartition("/")[0], error, options)
    return tuple(judged.read(content, uri))


def _require_registered(
    version: ModelVersion, evaluation: bytes, of_training: bytes | None, read: Read, options: Options
) -> None:
    """Check the evaluation and the training's manifest by the hash that the version was registered with, if it was.

    Where the version's folder is gone there is nothing to hold them against, and its evaluation is all that is left.

    Raises:
        UserError: one of them is not what was registered.
    """
    expected, uri = version.metadata.get(served_files.OF_ADAPTER), _beside(version.metrics_uri or "", SERVED)
    weights = f"{uri}/{ADAPTER_FOLDER}/adapter_config.json"
    content = read(f"{uri}/{served_files.MANIFEST}")
    if expected is None or (content is None and of_training is None and read(weights) is None):
        return
    try:
        files = served_files.read_manifest(content, expected)
        if of_training is None:
            raise served_files.FilesDiffer(f"{ADAPTER_FOLDER}/{served_files.MANIFEST} is missing")
        files.check_content(f"{ADAPTER_FOLDER}/{served_files.MANIFEST}", of_training)
        files.check_content(f"{ADAPTER_FOLDER}/evaluation.json", evaluation)
    except served_files.FilesDiffer as error:
        raise served.swapped(version, uri, error, options) from None


def _beside(uri: str, relative: str) -> str:
    folders = uri.split("/")[:-1]
    for part in relative.split("/"):
        folders = folders[:-1] if part == ".." else [*folders, part]
    return "/".join(folders)
