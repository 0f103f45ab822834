"""Evaluates the definition's expressions (Get, Std:Join, Std:JsonGet), wherever they stand in a step's arguments.

What an expression may refer to is a `Scope`. Limits: an unknown function or reference is an error and never an empty
string.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from pipeline.errors import UserError, did_you_mean
from pipeline.local.state.store import Store
from pipeline.rendered import FUNCTIONS, Reference, expressions, function_of, steps_in

# The members by which AWS names a list's items in a Describe answer: Outputs['train'], FinalMetricDataList['loss'].
_ITEM_NAMES = ("OutputName", "MetricName", "InputName", "ChannelName", "PropertyFileName", "Name", "Key")
_TOKEN = re.compile(r"""\.?([^.\[\]]+)|\[(\d+)\]|\['([^']*)'\]|\["([^"]*)"\]""")


@dataclass(frozen=True)
class Scope:
    """What expressions can see while an execution runs."""

    parameters: Mapping[str, Any]
    execution: Mapping[str, Any]
    store: Store
    steps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # properties of the steps that succeeded
    property_files: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)  # by step, then name


def evaluate(value: Any, scope: Scope, where: str) -> Any:
    """The value with every expression replaced by what it stands for; `where` names the step in an error.

    Raises:
        UserError: a reference to something that is not there, or an unknown function.
    """
    name = function_of(value)
    if name == "Get":
        return _get(value["Get"], scope, where)
    if name == "Std:Join":
        parts = [evaluate(part, scope, where) for part in value[name]["Values"]]
        return str(value[name].get("On", "")).join(_joinable(part, value, where) for part in parts)
    if name == "Std:JsonGet":
        return _json_get(value, scope, where)
    if name:
        raise _error(where, value, f"unknown function; known are {', '.join(FUNCTIONS)}")
    if isinstance(value, dict):
        return {key: evaluate(item, scope, where) for key, item in value.items()}
    if isinstance(value, list):
        return [evaluate(item, scope, where) for item in value]
    return value


def evaluate_known(value: Any, scope: Scope, where: str) -> Any:
    """As `evaluate`, but what depends on a step stays an expression: what can be known before anything runs."""
    if function_of(value):
        later = steps_in(value) or any(function_of(part) == "Std:JsonGet" for part in expressions(value))
        return value if later else evaluate(value, scope, where)
    if isinstance(value, dict):
        return {key: evaluate_known(item, scope, where) for key, item in value.items()}
    if isinstance(value, list):
        return [evaluate_known(item, scope, where) for item in value]
    return value


def to_text(value: Any) -> str:
    """How the service writes a value into a string: strings bare, floats as Java prints them, the rest as in JSON."""
    if isinstance(value, float):
        return java_double(value)
    return value if isinstance(value, str) else json.dumps(value)


def java_double(value: float) -> str:
    """A number as Java's Double.toString prints it: `0.001`, `32.0`, `5.0E-6`, `1.0E7`."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        text = f"{Decimal(repr(value)):f}"
        return text if "." in text else f"{text}.0"
    digits, _, exponent = f"{Decimal(repr(value)).normalize():E}".partition("E")
    return f"{digits if '.' in digits else digits + '.0'}E{int(exponent)}"


def lookup(data: Any, path: str) -> Any:
    """Follow `a.b['c'][0]` into nested data; an item of a list also answers to its name.

    Raises:
        KeyError: with a message that says which part is missing and what there is instead.
    """
    position = 0
    while position < len(path):
        token = _TOKEN.match(path, position)
        if token is None:
            raise KeyError(f"{path!r} is not a path such as a.b['c'][0]")
        name, index, single, double = token.groups()
        data = _item(data, int(index) if index else name or single or double or "")
        position = token.end()
    return data


def _item(data: Any, key: str | int) -> Any:
    if isinstance(data, list):
        if isinstance(key, int) and key < len(data):
            return data[key]
        named = [item for item in data if isinstance(item, dict)]
        for item in named:
            if any(item.get(member) == key for member in _ITEM_NAMES):
                return item
        names = [next((item[m] for m in _ITEM_NAMES if m in item), "?") for item in named]
        raise KeyError(f"no item {key!r} in a list of {len(data)}{_there_is(names)}")
    if isinstance(data, dict):
        # [0] of an object is its member "0": JSON has no other keys than strings.
        if str(key) in data:
            return data[str(key)]
        raise KeyError(f"no {str(key)!r}{did_you_mean(str(key), data) or _there_is(list(data))}")
    raise KeyError(f"no {key!r} inside {json.dumps(data)}")


def _there_is(names: list[str]) -> str:
    return f"; there is {', '.join(names)}" if names else ""


def _get(text: str, scope: Scope, where: str) -> Any:
    reference = Reference.parse(text)
    try:
        if reference.root == "Parameters":
            return _member(scope.parameters, reference.name, "parameter")
        if reference.root == "Execution":
            return _member(scope.execution, reference.name, "execution variable")
        if reference.property_file is not None:
            raise KeyError("a property file is read with Std:JsonGet")
        if reference.root == "Steps":
            return lookup(_succeeded(reference.name, scope), reference.rest)
        raise KeyError("must start with Parameters., Execution. or Steps.")
    except KeyError as error:
        raise _error(where, {"Get": text}, error.args[0]) from None


def _succeeded(step: str, scope: Scope) -> Mapping[str, Any]:
    if step not in scope.steps:
        raise KeyError(f"step {step} has not succeeded")
    return scope.steps[step]


def _member(known: Mapping[str, Any], name: str, what: str) -> Any:
    if name not in known:
        raise KeyError(f"no such {what}{did_you_mean(name, known) or _there_is(list(known))}")
    return known[name]


def _joinable(part: Any, expression: dict[str, Any], where: str) -> str:
    if isinstance(part, dict | list) or part is None:
        raise _error(where, expression, f"cannot join {json.dumps(part)}; only strings, numbers and booleans")
    return to_text(part)


def _json_get(expression: dict[str, Any], scope: Scope, where: str) -> Any:
    request = expression["Std:JsonGet"]
    try:
        uri = _json_uri(request, scope, where)
        file = scope.store.path(uri)
        if not file.is_file():
            raise KeyError(f"{uri} was not written (looked for {file})")
        path = request.get("Path", "").removeprefix("$").removeprefix(".")
        found = lookup(json.loads(file.read_text(encoding="utf-8")), path)
    except KeyError as error:
        raise _error(where, expression, error.args[0]) from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise _error(where, expression, f"{uri} is not valid JSON: {error}") from None
    if isinstance(found, dict | list) or found is None:
        raise _error(where, expression, f"is {json.dumps(found)[:80]}; must be a string, number or boolean")
    return found


def _json_uri(request: Mapping[str, Any], scope: Scope, where: str) -> str:
    if "S3Uri" in request:
        return evaluate(request["S3Uri"], scope, where)
    reference = Reference.parse(request["PropertyFile"]["Get"])
    name = reference.property_file
    if name is None:
        raise KeyError("must name a property file as Steps.<step>.PropertyFiles.<name>")
    properties = _succeeded(reference.name, scope)
    file = _member(scope.property_files.get(reference.name, {}), name, f"property file of step {reference.name}")
    output = lookup(properties, f"ProcessingOutputConfig.Outputs['{file['OutputName']}'].S3Output.S3Uri")
    return f"{output.rstrip('/')}/{file['FilePath']}"


def _error(where: str, expression: dict[str, Any], reason: str) -> UserError:
    return UserError(f"{where}: {json.dumps(expression)}: {reason}")
