"""What the steps of a local execution left, as far as it can be read: what is gone or damaged is named, not raised."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field

from pipeline.errors import UserError
from pipeline.local.state import damage, records
from pipeline.local.state.damage import Damaged
from pipeline.local.state.records import Execution, StepRecord
from pipeline.local.state.store import Store
from pipeline.versions.judged import Said, Served

Found = TypeVar("Found")
REGISTER_JOBS = ("RegisterMerged", "RegisterAdapter")  # Processing jobs with `register_with: job`
ADVICE = "restore it, or start another execution; remove nothing: a registered version may need what lies beside it"


class _Rows(BaseModel):
    read: int
    train: int
    validation: int
    duplicate: int
    quarantined: int


class Report(BaseModel):
    """What is read of Preprocess's report.json."""

    rows: _Rows


class _Pairs(BaseModel):
    kept: int
    rules: dict[str, int]


class _Lines(BaseModel):
    lines: int


class Collected(BaseModel):
    """What is read of Collect's report.json."""

    captures: _Lines
    feedback: _Lines
    pairs: _Pairs


class _Prompts(BaseModel):
    lines: int


class Candidates(BaseModel):
    """What is read of Candidates' report.json."""

    prompts: _Prompts
    pairs: _Pairs


class _Figures(BaseModel):
    loss: float
    reward_accuracy: float


class _Counts(BaseModel):
    given: int
    used: int


class _Feedback(BaseModel):
    train: int
    validation: int
    weight: int


class _Canary(BaseModel):
    rows: int
    reward_accuracy: float


class Evaluation(BaseModel):
    """What is read of the Gate's evaluation.json; an older one has no `feedback`, `canary`, `served` or `answers`."""

    rows: int
    before: _Figures
    after: _Figures
    tokenised: dict[str, _Counts]
    feedback: _Feedback | None = None
    canary: _Canary | None = None
    served: Served | None = None
    answers: Said | None = None


class Gate(BaseModel):
    """What is read of the Gate's gate.json."""

    decision: str
    message: str


class Registered(BaseModel):
    """What is read of a registering job's registered.json."""

    group: str
    version: int
    variant: str
    approval_status: str
    model: Annotated[str, Field(pattern="^s3://[^/]+/.")]


class Outputs:
    """Reads what one execution left.

    Attributes:
        gone: the files that have been removed since.
        damaged: of each that cannot be read, what is wrong and what to do about it.
    """

    def __init__(self, root: Path, execution: Execution) -> None:
        self.store = Store(root)
        self.gone: list[str] = []
        self.damaged: list[str] = []
        self._execution = execution
        self._record = records.folder(root, execution.id) / "execution.json"

    def file(
        self, step: str, output: str, name: str, shape: type[BaseModel], *, optional: bool = False
    ) -> dict[str, Any] | None:
        """What a step left in a file, an object of that shape; None where it did not come so far or cannot be read.

        `optional`: not every run leaves that file, so that one which is not there is not named as gone.
        """
        record = self._execution.step(step)
        if record.status != "Succeeded":
            return None
        path = self._properties(record, lambda properties: self._path(properties, output, name))
        if path is None:
            return None

        def parse(text: str) -> dict[str, Any]:
            found = json.loads(text)
            shape.model_validate(found)
            return found

        try:
            return damage.read(path, f"the output {output} of {step}", parse, ADVICE)
        except FileNotFoundError:
            if not optional:
                self.gone.append(str(path))
        except Damaged as error:
            self.damaged.append(str(error))
        return None

    def no_new_data(self) -> bool:
        """Whether it ended because the data is that of the last registered version."""
        step = next((step for step in self._execution.steps if step.name == "NoNewData"), None)
        if step is None or step.status != "Succeeded":
            return False
        return self._properties(step, lambda properties: properties["Outcome"] == "True") or False

    def registered(self) -> dict[str, Any] | None:
        """The version of this execution, whether a step or a job has registered it; `model` is a place on disk."""
        for step in self._execution.steps:
            if step.status == "Succeeded" and step.type == "RegisterModel":
                return self._properties(step, self._of_package)
            if step.status == "Succeeded" and step.name in REGISTER_JOBS and step.type == "Processing":
                found = self.file(step.name, "registered", "registered.json", Registered)
                return self._placed({**found, "version": int(found["version"])}) if found else None
        return None

    def _of_package(self, package: dict[str, Any]) -> dict[str, Any]:
        container = package["InferenceSpecification"]["Containers"][0]
        return self._placed(
            {
                "group": package["ModelPackageGroupName"],
                "version": package["ModelPackageVersion"],
                "variant": package["CustomerMetadataProperties"]["variant"],
                "approval_status": package["ModelApprovalStatus"],
                "model": container["ModelDataSource"]["S3DataSource"]["S3Uri"],
            }
        )

    def _placed(self, version: dict[str, Any]) -> dict[str, Any]:
        return version | {"model": str(self.store.path(version["model"]))}

    def _path(self, properties: dict[str, Any], output: str, name: str) -> Path:
        outputs = {entry["OutputName"]: entry for entry in properties["ProcessingOutputConfig"]["Outputs"]}
        return self.store.path(f"{outputs[output]['S3Output']['S3Uri']}/{name}")

    def _properties(self, step: StepRecord, look: Callable[[dict[str, Any]], Found]) -> Found | None:
        """What the record says of a step that succeeded; None, and named as damaged, where it does not."""
        try:
            return look(step.properties)
        except (KeyError, IndexError, TypeError, AttributeError, UserError) as error:
            said = f"{error} is not there" if isinstance(error, LookupError) else str(error)
            self.damaged.append(f"{self._record}: the properties of step {step.name} are damaged ({said}); {ADVICE}")
            return None
