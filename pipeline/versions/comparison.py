"""Two versions beside each other: what differs in how they were made, and whether one is better on the same rows.

Reads what the steps left: evaluation.json as the gate judged it, which the model package names, and the manifest of
the adapter that the gate verified, which lies beside it. Limits: pairs rows by their id alone; accuracies over
different rows are shown, and never tested against each other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import UserError
from pipeline.versions import served
from pipeline.versions.registry import ModelVersion, Options
from steps.shared import served_files
from steps.shared.serving import ADAPTER_FOLDER
from steps.shared.statistics.intervals import wilson_interval

SERVED = "../serving"  # seen from the gate's evaluation
MANIFEST = f"{SERVED}/{ADAPTER_FOLDER}/{served_files.MANIFEST}"
CHANNELS = "/input/data/"  # below /opt/ml
FACTS = ("base_model", "data_hash", "code_version", "variant", "execution_arn")
SIGNIFICANT = 0.05
Read = Callable[[str], bytes | None]  # an S3 URI's content


class Margin(BaseModel):
    """A held-out row's margin: the difference of both answers' log ratios, in nats, without beta."""

    id: str
    margin: Annotated[float, Field(allow_inf_nan=False)]


class Figures(BaseModel):
    """Figures over some rows; steps/train/evaluation/figures.py names the others; older files have fewer."""

    model_config = ConfigDict(extra="allow")

    rows: Annotated[int, Field(ge=1)]
    reward_accuracy: Annotated[float, Field(ge=0, le=1)]
    slices: dict[str, dict[str, Figures]] = {}

    def get(self, name: str) -> float | None:
        """A figure; None where it is not defined, or the file does not have it."""
        return getattr(self, name, None)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the reward accuracy."""
        return wilson_interval(self.reward_accuracy * self.rows, self.rows)


class Evaluation(BaseModel):
    """What is read of an evaluation.json."""

    beta: float
    before: Figures
    after: Figures
    margins: Annotated[list[Margin], Field(min_length=1)]


class Manifest(BaseModel):
    """What is read of the manifest of an adapter; nothing, where it is gone."""

    arguments: dict[str, Any] | None = None
    fingerprint: str | None = None


@dataclass(frozen=True)
class Side:
    """One version with what was measured of it.

    Attributes:
        arguments: the training's; None where its manifest is gone.
        training: what identifies the training run; two versions may come of one.
    """

    version: ModelVersion
    evaluation: Evaluation
    arguments: dict[str, Any] | None
    training: str | None

    @cached_property
    def margins(self) -> dict[str, float]:
        """By the id of the row."""
        return {row.id: row.margin for row in self.evaluation.margins}


@dataclass(frozen=True)
class Paired:
    """Both versions on the rows that both were evaluated on.

    Attributes:
        first_only, second_only: rows that only the one gets right, or ties where the other is wrong: a tie is half
            a right one, so these are the rows on which one scores higher.
        p_value: two-sided, of McNemar's exact test: had both the same chance to be the one that is right, how often
            would the split of these rows be as uneven as this or more.
        median_gain: median over the rows of the second margin minus the first, in nats.
    """

    rows: int
    both: int
    first_only: int
    second_only: int
    neither: int
    p_value: float
    median_gain: float


@dataclass(frozen=True)
class Comparison:
    """Both sides, and what was found between them.

    Attributes:
        facts: of the versions, those that differ.
        arguments: of the trainings, those that differ; None where one side's are not known.
        paired: None where no row is in both evaluations.
    """

    first: Side
    second: Side
    facts: dict[str, tuple[Any, Any]]
    arguments: dict[str, tuple[Any, Any]] | None
    paired: Paired | None
    notes: list[str]

    @property
    def same_rows(self) -> bool:
        return self.first.margins.keys() == self.second.margins.keys()


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
    return Side(version, evaluation, manifest.arguments, manifest.fingerprint)


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


def compare(first: Side, second: Side) -> Comparison:
    """Both sides held against each other."""
    facts = differing(first.version.metadata, second.version.metadata)
    known = first.arguments is not None and second.arguments is not None
    return Comparison(
        first,
        second,
        {name: facts[name] for name in FACTS if name in facts},
        _arguments(first.arguments or {}, second.arguments or {}) if known else None,
        paired(first.margins, second.margins),
        _notes(first, second),
    )


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The keys whose values differ, with both values; None where a side lacks the key."""
    keys = sorted(first.keys() | second.keys())
    return {key: (first.get(key), second.get(key)) for key in keys if first.get(key) != second.get(key)}


def _arguments(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The training arguments that differ; a channel is the same one wherever a job's tree lies on this machine."""
    return {key: values for key, values in differing(first, second).items() if len({*map(_channel, values)}) > 1}


def _channel(value: Any) -> str:
    return json.dumps(value).rpartition(CHANNELS)[2]


def paired(first: Mapping[str, float], second: Mapping[str, float]) -> Paired | None:
    """The rows that both have, by their margins."""
    common = sorted(first.keys() & second.keys())
    if not common:
        return None
    scores = [(_score(first[id]), _score(second[id])) for id in common]
    first_only = sum(one > other for one, other in scores)
    second_only = sum(one < other for one, other in scores)
    both = sum(one == other == 1 for one, other in scores)
    gains = sorted(second[id] - first[id] for id in common)
    middle = len(gains) // 2
    return Paired(
        rows=len(common),
        both=both,
        first_only=first_only,
        second_only=second_only,
        neither=len(common) - both - first_only - second_only,
        p_value=mcnemar(first_only, second_only),
        median_gain=(gains[middle] + gains[-1 - middle]) / 2,
    )


def _score(margin: float) -> float:
    return 0.5 if margin == 0 else float(margin > 0)


def mcnemar(first_only: int, second_only: int) -> float:
    """The two-sided p-value of McNemar's exact test.

    McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12 (1947), 153-157, in its exact form: of n discordant rows the smaller part k is binomial with
    n and 1/2 under the hypothesis, and p = min(1, 2 P(X <= k)).
    """
    n, k = first_only + second_only, min(first_only, second_only)
    ways = term = 1  # n over i, each from the one before: whole numbers, exact for any n
    for i in range(k):
        term = term * (n - i) // (i + 1)
        ways += term
    return min(1.0, 2 * ways / 2**n)


def _notes(first: Side, second: Side) -> list[str]:
    """What a reader must know before reading one figure against the other."""
    one, other = first.margins.keys(), second.margins.keys()
    common = len(one & other)
    notes = []
    if first.training and first.training == second.training:
        notes.append("Both come from the same training run: the figures are the same by nature.")
    if one == other:
        notes.append(f"The held-out rows are the same {common}.")
    elif common:
        notes.append(
            f"The held-out rows differ: {common} are in both evaluations, of {len(one)} and {len(other)}. "
            "Each column is over its own rows; only the paired comparison is over the same."
        )
    else:
        notes.append(
            f"The held-out rows differ: none of the {len(one)} and {len(other)} is in both, "
            "so a difference may be that of the rows."
        )
    if first.evaluation.beta != second.evaluation.beta:
        notes.append(
            f"beta differs ({first.evaluation.beta:g} and {second.evaluation.beta:g}): loss and reward margin are each "
            "on its own scale."
        )
    if first.version.metadata.get("base_model") != second.version.metadata.get("base_model"):
        notes.append("The base models differ: margins and drift are each against its own.")
    return notes


def verdict(comparison: Comparison) -> str:
    """What the paired rows allow to say, in one sentence."""
    found = comparison.paired
    if found is None:
        return "Nothing can be paired: no row is in both evaluations."
    one, other = comparison.first.version.version, comparison.second.version.version
    counts = f"of {found.rows} rows only version {one} is right on {found.first_only}, only version {other} on "
    counts += f"{found.second_only}; exact McNemar test, p = {found.p_value:.2g}"
    if found.p_value >= SIGNIFICANT:
        return f"No difference can be told ({counts})."
    better = other if found.second_only > found.first_only else one
    return f"Version {better} is better ({counts})."
