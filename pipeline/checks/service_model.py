"""What botocore's bundled model of the SageMaker API knows about a step's request and about its Describe* answer.

Reads the model from the installed package: no client, no credentials, no network. botocore is imported on the first
question, so that a command which asks none does not pay for it. Judges single values; api_requests, whole requests.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import TYPE_CHECKING, Any

from pipeline.errors import did_you_mean

if TYPE_CHECKING:
    from botocore.model import OperationModel, ServiceModel, Shape

OPERATIONS = {
    "Training": ("CreateTrainingJob", "DescribeTrainingJob"),
    "Processing": ("CreateProcessingJob", "DescribeProcessingJob"),
    "RegisterModel": ("CreateModelPackage", "DescribeModelPackage"),
}

UNKNOWN = "\0"  # stands in a text for a part that only a run can tell; no request may contain it otherwise

TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    "boolean": bool,
}
TYPE_NAMES = {"string": "a string", "integer": "an integer", "long": "an integer", "boolean": "true or false"}
ENUM_SHOWN = 8


@functools.cache
def service() -> ServiceModel:
    """The SageMaker service model that this botocore ships (about 50 ms, once)."""
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    return ServiceModel(Loader().load_service_model("sagemaker", "service-2"))


def operation(name: str) -> OperationModel:
    """One operation of the API, such as CreatePipeline."""
    return service().operation_model(name)


def request_shape(step_type: str) -> Shape:
    """What the request of a job or package of this step type must look like."""
    return operation(OPERATIONS[step_type][0]).input_shape


def describe_shape(step_type: str) -> Shape:
    """What `Steps.NAME.…` may read of a step of this type."""
    return operation(OPERATIONS[step_type][1]).output_shape


def shown(value: Any) -> str:
    """A value as a message shows it: quoted, and cut where it is long."""
    text = repr(value).replace("\\x00", "…")
    return text if len(text) <= 80 else f"{text[:60]}…{text[-1]}"


def value_problem(shape: Shape, value: Any) -> str:
    """What is wrong with a scalar for this shape, or an empty string.

    A text may hold UNKNOWN: then its known part is held to the longest length, and its pattern is not judged.
    """
    kind = shape.type_name
    expected = TYPES.get(kind)
    if expected is None:  # timestamps and blobs, which no request of these steps takes
        return ""
    fits = isinstance(value, expected) and (kind == "boolean" or not isinstance(value, bool))
    if not fits:
        return f"{shown(value)} must be {TYPE_NAMES.get(kind, 'a number')}"
    if kind == "string":
        return _text_problem(shape, value)
    if kind == "boolean":
        return ""
    return _number_problem(shape.metadata, value)


def _text_problem(shape: Shape, text: str) -> str:
    known = text.replace(UNKNOWN, "")
    if problem := size_problem(shape, len(known), "characters", whole=known == text):
        return problem
    if known != text:
        return ""
    allowed = shape.metadata.get("enum")
    if allowed and text not in allowed:
        if len(allowed) <= ENUM_SHOWN:
            return f"{shown(text)} is not one of {', '.join(allowed)}{did_you_mean(text, allowed)}"
        return f"{shown(text)} is no {shape.name} that AWS knows{did_you_mean(text, allowed)}"
    source = shape.metadata.get("pattern")
    pattern = _compiled(source) if source else None
    if pattern and not pattern.fullmatch(text):
        return f"{shown(text)} does not match the pattern {source}"
    return ""


def size_problem(shape: Shape, size: int, unit: str, whole: bool = True) -> str:
    """Whether so many characters or entries are too many or, where the whole is known, too few."""
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max")
    if most is not None and size > most:
        return f"{size} {unit}, at most {most}"
    if whole and size < least:
        return f"{size} {unit}, at least {least}"
    return ""


def _number_problem(limits: dict[str, Any], value: float) -> str:
    if "min" in limits and value < limits["min"]:
        return f"{value} is below the least, {limits['min']}"
    if "max" in limits and value > limits["max"]:
        return f"{value} is above the most, {limits['max']}"
    return ""


@functools.cache
def _compiled(source: str) -> re.Pattern[str] | None:
    """One of AWS's (Java) patterns for Python, or None where Python cannot say it."""
    source = re.sub(r"\$\{\d+,\d+\}$", "", source)  # CustomerMetadata's pattern repeats "$", a slip in AWS's model
    source = source.replace(r"\p{Alnum}", "A-Za-z0-9")
    source = re.sub(r"\\p\{([LMNPSZ])\}", lambda match: _unicode_ranges()[match[1]], source)
    try:
        return re.compile(source)
    except re.error:
        return None


@functools.cache
def _unicode_ranges() -> dict[str, str]:
    """For each major Unicode category, its characters as ranges for a regular expression's brackets.

    Characters beyond the basic plane all count as letters: rather let an emoji pass than refuse somebody's name.
    """
    runs: dict[str, list[list[int]]] = {}
    for code in range(0x10000):
        ranges = runs.setdefault(unicodedata.category(chr(code))[0], [])
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    texts = {
        category: "".join(f"\\u{first:04x}-\\u{last:04x}" for first, last in ranges)
        for category, ranges in runs.items()
    }
    texts["L"] += "\\U00010000-\\U0010ffff"
    return texts
