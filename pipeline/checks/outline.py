"""A rendered definition as steps and parameters, and what its pipeline variables come to before anything has run.

Tolerates every defect: what has the wrong form is left out here and named by the checks. Judges nothing itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.checks.service_model import OPERATIONS, UNKNOWN, describe_shape

if TYPE_CHECKING:
    from botocore.model import Shape

FUNCTIONS = ("Get", "Std:Join", "Std:JsonGet")
EXECUTION_ID = "abcdefghijkl"  # AWS's execution ids have 12 characters
EXECUTION = {
    "PipelineExecutionId": EXECUTION_ID,
    "PipelineExecutionArn": f"arn:aws:sagemaker:us-east-1:111122223333:pipeline/p/execution/{EXECUTION_ID}",
    "PipelineName": UNKNOWN,
    "PipelineArn": "arn:aws:sagemaker:us-east-1:111122223333:pipeline/p",
    "StartDateTime": "2026-01-01T00:00:00Z",
    "CurrentDateTime": "2026-01-01T00:00:00Z",
    "TrainingJobName": "pipelines-abcdefghijkl-Train-abcdefghij",
    "ProcessingJobName": "pipelines-abcdefghijkl-Preprocess-abcdefghij",
}
# What names the entries of a list that `['name']` selects from, and which argument declares them.
NAMED_LISTS = {
    "Outputs": ("OutputName", ("ProcessingOutputConfig", "Outputs")),
    "ProcessingInputs": ("InputName", ("ProcessingInputs",)),
    "InputDataConfig": ("ChannelName", ("InputDataConfig",)),
    "FinalMetricDataList": ("Name", ("AlgorithmSpecification", "MetricDefinitions")),
}
VARIABLE_TYPES = {
    "string": "String",
    "timestamp": "String",
    "integer": "Integer",
    "long": "Integer",
    "float": "Float",
    "double": "Float",
    "boolean": "Boolean",
}
_STEP_PATH = re.compile(r"""Steps\.([A-Za-z0-9_-]+)((?:\.[A-Za-z0-9_-]+|\[\d+\]|\['[^']*'\])*)""")
_STEP_PATH_PART = re.compile(r"""\.([A-Za-z0-9_-]+)|\[(\d+)\]|\['([^']*)'\]""")
_DEPTH_LIMIT = 20  # outputs that refer to each other in a circle end here; the circle itself is named by the checks

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Step:
    """One step, wherever it is nested. `branch` lists the (condition, IfSteps or ElseSteps) that it lies in."""

    name: str
    type: str
    where: str
    raw: dict[str, Any]
    branch: tuple[tuple[str, str], ...] = ()

    @property
    def arguments(self) -> dict[str, Any]:
        """The step's own arguments; of a condition, without the steps in its branches."""
        arguments = as_dict(self.raw.get("Arguments"))
        if self.type == "Condition":
            return {key: value for key, value in arguments.items() if key not in ("IfSteps", "ElseSteps")}
        return arguments

    @property
    def cached(self) -> bool:
        """Whether the step's results are reused while what its cache key takes in stays the same."""
        return as_dict(self.raw.get("CacheConfig")).get("Enabled") is True


@dataclass(frozen=True)
class Outline:
    """The parameters and steps of a definition; of two with one name, the first."""

    parameters: dict[str, dict[str, Any]]
    steps: list[Step]
    by_name: dict[str, Step] = field(default_factory=dict)

    @classmethod
    def read(cls, definition: dict[str, Any]) -> Outline:
        parameters: dict[str, dict[str, Any]] = {}
        for parameter in as_list(definition.get("Parameters")):
            name = as_dict(parameter).get("Name")
            if isinstance(name, str):
                parameters.setdefault(name, parameter)
        steps = list(_steps_in(definition.get("Steps"), "Steps", ()))
        by_name: dict[str, Step] = {}
        for step in steps:
            by_name.setdefault(step.name, step)
        return cls(parameters, steps, by_name)


@dataclass(frozen=True)
class Get:
    """A parsed `{"Get": …}`: its root (Parameters, Execution or Steps), the name after it, and the path after that."""

    root: str
    name: str
    path: Path = ()


@dataclass(frozen=True)
class Sample:
    """What an expression comes to: its type (None where only a run can tell) and a value, UNKNOWN in its open parts."""

    type: str | None = None
    value: Any = UNKNOWN


def as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _steps_in(raw_steps: Any, path: str, branch: tuple[tuple[str, str], ...]) -> Iterator[Step]:
    for index, raw in enumerate(as_list(raw_steps)):
        raw = as_dict(raw)
        name = raw.get("Name") if isinstance(raw.get("Name"), str) else ""
        kind = raw.get("Type") if isinstance(raw.get("Type"), str) else ""
        yield Step(name, kind, name or f"{path}[{index}]", raw, branch)
        if kind == "Condition":
            for side in ("IfSteps", "ElseSteps"):
                nested = as_dict(raw.get("Arguments")).get(side)
                yield from _steps_in(nested, f"{name}.{side}", (*branch, (name, side)))


def is_expression(value: Any) -> bool:
    """Whether a JSON value is a pipeline variable (perhaps a malformed one) rather than data."""
    return isinstance(value, dict) and any(key == "Get" or str(key).startswith("Std:") for key in value)


def expressions_in(value: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every outermost expression below a value, with its path as messages write it."""
    if is_expression(value):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from expressions_in(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from expressions_in(item, f"{path}[{index}]")


def gets_in(expression: Any) -> Iterator[Get]:
    """Every well-formed Get anywhere inside an expression."""
    if isinstance(expression, dict):
        if get := parse_get(expression.get("Get")):
            yield get
        for value in expression.values():
            yield from gets_in(value)
    elif isinstance(expression, list):
        for value in expression:
            yield from gets_in(value)


def parse_get(text: Any) -> Get | None:
    """The parts of `Parameters.X`, `Execution.X` or `Steps.X.A['b'].C[0]`; None for anything else."""
    if not isinstance(text, str):
        return None
    root, _, name = text.partition(".")
    if root in ("Parameters", "Execution") and name:
        return Get(root, name)
    match = _STEP_PATH.fullmatch(text)
    if not match:
        return None
    parts = (int(index) if index else member or key for member, index, key in _STEP_PATH_PART.findall(match[2]))
    return Get("Steps", match[1], tuple(parts))


def property_shape(step: Step, path: Path) -> Shape | None:
    """The shape that a path into a step's Describe* answer ends at, or None where it leads nowhere."""
    if step.type not in OPERATIONS:
        return None
    shape = describe_shape(step.type)
    for part in path:
        if shape.type_name == "structure":
            if part not in shape.members:
                return None
            shape = shape.members[part]
        elif shape.type_name == "list":
            shape = shape.member
        elif shape.type_name == "map":
            shape = shape.value
        else:
            return None
    return shape


def declared(step: Step, list_name: str) -> dict[str, dict[str, Any]]:
    """The entries of one of a step's named lists (outputs, channels, …) by their names."""
    key, path = NAMED_LISTS[list_name]
    value: Any = step.arguments
    for part in path:
        value = as_dict(value).get(part)
    entries = [as_dict(entry) for entry in as_list(value)]
    return {entry[key]: entry for entry in entries if isinstance(entry.get(key), str)}


def echoed(step: Step, path: Path) -> Any:
    """What the step's own arguments say at a path of its answer, which repeats them; None where they say nothing."""
    value: Any = step.arguments
    for before, part in zip((None, *path), path, strict=False):
        if isinstance(value, list):
            if before not in NAMED_LISTS:
                return None
            value = declared(step, str(before)).get(str(part))
        else:
            value = as_dict(value).get(part)
    return value


def evaluate(outline: Outline, value: Any, given: Mapping[str, str] | None = None, depth: int = 0) -> Sample:
    """What a value comes to with the parameters' defaults, `given` values going before them."""
    if not is_expression(value):
        return Sample(_type_of(value), value)
    if depth > _DEPTH_LIMIT or len(value) != 1:
        return Sample()
    if "Std:Join" in value:
        join = as_dict(value["Std:Join"])
        parts = [as_text(evaluate(outline, part, given, depth + 1).value) for part in as_list(join.get("Values"))]
        return Sample("String", str(join.get("On", "")).join(parts))
    get = parse_get(value.get("Get"))
    if get is None:
        return Sample()
    if get.root == "Execution":
        return Sample("String", EXECUTION.get(get.name, UNKNOWN))
    if get.root == "Parameters":
        return _parameter_sample(outline.parameters.get(get.name), (given or {}).get(get.name))
    step = outline.by_name.get(get.name)
    shape = property_shape(step, get.path) if step else None
    if step is None or shape is None:
        return Sample("String") if step and step.type == "Condition" else Sample()
    same = echoed(step, get.path)
    if same is not None and not isinstance(same, list) and (is_expression(same) or not isinstance(same, dict)):
        return Sample(_variable_type(shape), evaluate(outline, same, given, depth + 1).value)
    return Sample(_variable_type(shape))


def _variable_type(shape: Shape) -> str:
    return VARIABLE_TYPES.get(shape.type_name, shape.type_name)


def _parameter_sample(parameter: dict[str, Any] | None, given: str | None) -> Sample:
    if parameter is None:
        return Sample()
    kind = parameter.get("Type")
    kind = kind if isinstance(kind, str) else None
    if given is None:
        return Sample(kind, parameter.get("DefaultValue", UNKNOWN))
    try:
        return Sample(kind, {"Integer": int, "Float": float}.get(str(kind), str)(given))
    except ValueError:  # a value of the wrong type is refused where the parameters are resolved
        return Sample(kind)


def as_text(value: Any) -> str:
    """A value as Pipelines writes it into a string."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _type_of(value: Any) -> str | None:
    for kind, name in ((bool, "Boolean"), (int, "Integer"), (float, "Float"), (str, "String")):
        if isinstance(value, kind):
            return name
    return None
