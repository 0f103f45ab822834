"""The files that an execution's steps left, read for its page: what is gone is absent, what cannot be read is named.

Reads nothing of a step that has not ended well, but for the report of a Preprocess that found its data not fit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.aws.executions import StepSummary
from pipeline.rendered import as_dict, as_list
from pipeline.report.source import OF_FAILED, Source

REGISTER_JOBS = ("RegisterMerged", "RegisterAdapter")  # Processing jobs with `register_with: job`
Answers = list[dict[str, Any]]


@dataclass
class Artifacts:
    """What the files hold; None, or no rows, where a step did not come so far.

    Attributes:
        report: Preprocess's report.json.
        champion: champion.json.
        evaluation, history, answers, gate: as the gate judged them; as training left them where the gate did not come
            so far.
        judged: what the gate's judge said, pair by pair.
        manifest: of the training.
        libraries: that trained the model, with their versions.
        package: the ARN of the version that was registered.
        damaged: of each file that is there and cannot be read, where it lies and what is wrong.
    """

    report: dict[str, Any] | None = None
    champion: dict[str, Any] | None = None
    evaluation: dict[str, Any] | None = None
    history: list[dict[str, Any]] | None = None
    answers: Answers = field(default_factory=list)
    gate: dict[str, Any] | None = None
    judged: list[dict[str, Any]] = field(default_factory=list)
    manifest: dict[str, Any] | None = None
    libraries: str = ""
    package: str | None = None
    damaged: list[str] = field(default_factory=list)


def read(source: Source, steps: Sequence[StepSummary], only: Iterable[str] = ()) -> Artifacts:
    """All files of an execution that its page shows.

    Args:
        steps: those that were reached.
        only: the names of the files to read; all without any.
    """
    reader = _Reader(source, {step.name: step for step in steps}, frozenset(only))
    found = reader.found
    found.champion = reader.object("Champion", "champion", "champion.json")
    found.report = reader.object("Preprocess", "report", "report.json") or reader.of_failed_data()
    found.gate = reader.object("Gate", "decision", "gate.json")
    if (found.gate or {}).get("judge"):
        found.judged = reader.file("Gate", "decision", "judge.jsonl", _lines) or []
    found.evaluation = reader.judged("evaluation.json", _object)
    found.history = reader.judged("history.json", _list)
    found.answers = reader.judged("answers.jsonl", _lines) or []
    found.manifest = reader.trained("manifest.json", _object)
    found.libraries = _libraries(reader.object("Gate", "decision", "card.json") or {})
    found.package = reader.package()
    return found


class _Reader:
    def __init__(self, source: Source, steps: Mapping[str, StepSummary], only: frozenset[str]) -> None:
        self.found = Artifacts()
        self._source, self._steps, self._only = source, steps, only
        self._properties: dict[str, Mapping[str, Any]] = {}

    def object(self, step: str, output: str, name: str) -> dict[str, Any] | None:
        """What a processing job left in a file of an output, where that is an object."""
        found: dict[str, Any] | None = self.file(step, output, name, _object)
        return found

    def file(self, step: str, output: str, name: str, parse: Callable[[bytes], Any]) -> Any:
        """What a processing job left in a file of an output."""
        if (folder := self._output(step, output)) is None:
            return None
        return self._read(f"{folder}/{name}", name, parse)

    def judged(self, name: str, parse: Callable[[bytes], Any]) -> Any:
        """A file of the training, as the gate passed it on."""
        if (folder := self._output("Gate", "decision")) is None:
            return self.trained(name, parse)
        return self._read(f"{folder}/{name}", name, parse)

    def trained(self, name: str, parse: Callable[[bytes], Any]) -> Any:
        """A file of the training, as it left it; none in an archive, which this pipeline does not make."""
        model = as_dict(self._of("Train").get("ModelArtifacts")).get("S3ModelArtifacts")
        if not isinstance(model, str) or model.endswith(".gz"):
            return None
        return self._read(f"{model.rstrip('/')}/{name}", name, parse)

    def of_failed_data(self) -> dict[str, Any] | None:
        """The report of a Preprocess that found its data not fit to train on, where its disk is still there."""
        step = self._steps.get("Preprocess")
        if step is None or step.status != "Failed" or self._left_out("report.json"):
            return None
        content = self._source.of_failed_job(step, OF_FAILED, "report.json")
        return None if content is None else self._parsed(content, f"the report of {step.name}", _object)

    def package(self) -> str | None:
        """The ARN of the version that a step or a job has registered."""
        for step in self._steps.values():
            if step.status == "Succeeded" and step.type == "RegisterModel":
                return step.output
            if step.status == "Succeeded" and step.name in REGISTER_JOBS:
                registered = self.object(step.name, "registered", "registered.json") or {}
                arn = registered.get("model_package_arn")
                return arn if isinstance(arn, str) else None
        return None

    def _output(self, step: str, output: str) -> str | None:
        entries = as_list(as_dict(self._of(step).get("ProcessingOutputConfig")).get("Outputs"))
        for entry in map(as_dict, entries):
            uri = as_dict(entry.get("S3Output")).get("S3Uri")
            if entry.get("OutputName") == output and isinstance(uri, str):
                return uri.rstrip("/")
        return None

    def _of(self, name: str) -> Mapping[str, Any]:
        """What is known of the job of a step that succeeded; asked once."""
        step = self._steps.get(name)
        if step is None or step.status != "Succeeded":
            return {}
        if name not in self._properties:
            self._properties[name] = self._source.properties(step)
        return self._properties[name]

    def _left_out(self, name: str) -> bool:
        return bool(self._only) and name not in self._only

    def _read(self, uri: str, name: str, parse: Callable[[bytes], Any]) -> Any:
        if self._left_out(name):
            return None
        content = self._source.read(uri)
        return None if content is None else self._parsed(content, uri, parse)

    def _parsed(self, content: bytes, where: str, parse: Callable[[bytes], Any]) -> Any:
        try:
            return parse(content)
        except ValueError as error:  # broken JSON or UTF-8 is one too
            self.found.damaged.append(f"{where}: cannot be read: {error}")
            return None


def _libraries(card: Mapping[str, Any]) -> str:
    """What the model card says of them."""
    try:
        content = as_dict(json.loads(card.get("content") or "{}"))
    except (ValueError, TypeError):
        return ""  # a card is checked where it is registered
    details = as_dict(as_dict(content.get("additional_information")).get("custom_details"))
    return str(details.get("libraries", ""))


def _object(content: bytes) -> dict[str, Any]:
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError("it is no object")
    return found


def _list(content: bytes) -> list[dict[str, Any]]:
    found = json.loads(content)
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise ValueError("it is no list of objects")
    return found


def _lines(content: bytes) -> Answers:
    return [_object(line) for line in content.split(b"\n") if line.strip()]
