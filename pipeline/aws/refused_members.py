"""A definition that Pipelines refuses for a member of a step, although the API has it: which steps, and what to do.

Pipelines keeps a list of its own of what a step may hold. aws/sagemaker-python-sdk, issues 2972 and 4994, have its
words: "Unable to parse pipeline definition. Unknown Argument member 'CustomerMetadataProperties'." Limits: it names one
member at a time, and no step.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.aws.errors import VALIDATION, code_and_message
from pipeline.errors import UserError
from pipeline.rendered import read

_UNKNOWN = re.compile(r"Unknown Argument member '?([A-Za-z]+)")


@contextmanager
def explained(definition: str, command: str) -> Iterator[None]:
    """
    Args:
        definition: what is sent to Pipelines within.
        command: what to run again.

    Raises:
        UserError: Pipelines refuses a member of a step.
    """
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        code, message = code_and_message(error)
        unknown = _UNKNOWN.search(message)
        if code not in VALIDATION or unknown is None:
            raise
        raise UserError(f"AWS: {_words(definition, unknown[1], message)}, then: {command}") from error


def _words(definition: str, member: str, message: str) -> str:
    steps = [step for step in read(json.loads(definition)).all_steps if member in _members(step.arguments)]
    where = ", ".join(step.name for step in steps) or "any step"
    said = f"Pipelines does not take {member} in {where} ({message}); the API does, but Pipelines has its own list"
    if steps and {step.type for step in steps} == {"RegisterModel"}:
        return (
            f"{said}. Let a small job register instead: `register_with: job` in the section `register` of the settings"
        )
    return f"{said}. Leave out the setting that {member} comes from"


def _members(value: Any) -> set[str]:
    """The names of all members in it, at any depth."""
    if isinstance(value, list):
        return {name for item in value for name in _members(item)}
    if isinstance(value, dict):
        return value.keys() | {name for item in value.values() for name in _members(item)}
    return set()
