"""What a definition's pipeline variables come to, as far as that is known before anything has run.

Tolerates every defect: what has the wrong form is left out here and named by the checks. Judges nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.checks.service_model import OPERATIONS, UNKNOWN, describe_shape
from pipeline.rendered import Definition, Parameter, Path, Reference, Step, as_dict, as_list, references

if TYPE_CHECKING:
    from botocore.model import Shape

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
_DEPTH_LIMIT = 20  # outputs that refer to each other in a circle end here; the circle itself is named by the checks


@dataclass(frozen=True)
class Sample:
    """What an expression comes to: its type (None where only a run can tell) and a value, UNKNOWN in its open parts."""

    type: str | None = None
    value: Any = UNKNOWN


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


def gets_in(expression: Any) -> Iterator[Reference]:
    """Every well-formed Get anywhere inside an expression."""
    return (get for get in references(expression) if get.sound)


def parse_get(text: Any) -> Reference | None:
    """The reference that a Get's text makes; None where it has not the form of one."""
    get = Reference.parse(text) if isinstance(text, str) else None
    return get if get and get.sound else None


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
            value = as_dict(value).get(str(part))
    return value


def evaluate(definition: Definition, value: Any, given: Mapping[str, str] | None = None, depth: int = 0) -> Sample:
    """What a value comes to with the parameters' defaults, `given` values going before them."""
    if not is_expression(value):
        return Sample(_type_of(value), value)
    if depth > _DEPTH_LIMIT or len(value) != 1:
        return Sample()
    if "Std:Join" in value:
        join = as_dict(value["Std:Join"])
        parts = [as_text(evaluate(definition, part, given, depth + 1).value) for part in as_list(join.get("Values"))]
        return Sample("String", str(join.get("On", "")).join(parts))
    get = parse_get(value.get("Get"))
    if get is None:
        return Sample()
    if get.root == "Execution":
        return Sample("String", EXECUTION.get(get.name, UNKNOWN))
    if get.root == "Parameters":
        return _parameter_sample(definition.parameters.get(get.name), (given or {}).get(get.name))
    step = definition.by_name.get(get.name)
    shape = property_shape(step, get.path) if step else None
    if step is None or shape is None:
        return Sample("String") if step and step.type == "Condition" else Sample()
    same = echoed(step, get.path)
    if same is not None and not isinstance(same, list) and (is_expression(same) or not isinstance(same, dict)):
        return Sample(_variable_type(shape), evaluate(definition, same, given, depth + 1).value)
    return Sample(_variable_type(shape))


def _variable_type(shape: Shape) -> str:
    return VARIABLE_TYPES.get(shape.type_name, shape.type_name)


def _parameter_sample(parameter: Parameter | None, given: str | None) -> Sample:
    if parameter is None:
        return Sample()
    kind = parameter.type or None
    if given is None:
        return Sample(kind, parameter.raw.get("DefaultValue", UNKNOWN))
    try:
        return Sample(kind, {"Integer": int, "Float": float}.get(parameter.type, str)(given))
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
