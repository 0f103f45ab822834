"""The parameters of a past execution: values, which of them were defaults, and today's defaults. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.parameters.values import Value, resolve_parameters
from pipeline.rendered import read


@dataclass(frozen=True)
class ParameterUse:
    """One parameter of an execution.

    Attributes:
        value: what it ran with; None where there was no such parameter.
        default_then: the default of the definition that ran.
        default_today: what a start would take today; None where there is no such parameter any more.
    """

    name: str
    value: Value | None
    default_then: Value | None
    default_today: Value | None

    @property
    def was_default(self) -> bool:
        return self.value == self.default_then

    @property
    def differs(self) -> bool:
        return self.value != self.default_today


def defaults(definition: Mapping[str, Any]) -> dict[str, Value | None]:
    """What a start without values takes, by a definition's parameters."""
    return {name: parameter.default for name, parameter in read(definition).parameters.items()}


def uses(
    definition: Mapping[str, Any], given: Mapping[str, str], defaults_today: Mapping[str, Value | None]
) -> list[ParameterUse]:
    """Every parameter of an execution, in the form's order, and then those that have been added since."""
    then = defaults(definition)
    values = resolve_parameters(definition, given)
    found = [ParameterUse(name, values[name], then[name], defaults_today.get(name)) for name in then]
    return found + [ParameterUse(name, None, None, today) for name, today in defaults_today.items() if name not in then]


def assignments(parameters: Sequence[ParameterUse]) -> str:
    """The `--set` words that start an execution with the same values today; values that are the defaults are left out.

    Parameters that no longer exist, or did not exist then, cannot be set and are left out too.
    """
    return "".join(
        f" --set {shlex.quote(f'{use.name}={use.value}')}"
        for use in parameters
        if use.differs and use.value is not None and use.default_today is not None
    )
