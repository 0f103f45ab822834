"""Step caching: a step with the same arguments as one that succeeded before takes that one's result.

The key takes in what AWS's takes in, which for S3 inputs is their URI and not their content, and, because code here is
the working tree and not an image, the content of `steps/` too. Unlike on AWS, a result is a hit only where the store
still has what the step left, object by object. Limits: objects are compared by name and size; the versions of installed
packages are not in the key.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline.errors import UserError
from pipeline.files import write_text
from pipeline.local.state import damage
from pipeline.local.state.damage import Damaged
from pipeline.local.state.records import Execution
from pipeline.local.state.store import Store
from pipeline.rendered import Step
from pipeline.settings.content import code_key
from pipeline.texts import now

_KEY_MEMBERS = {
    "Training": (
        "AlgorithmSpecification",
        "CheckpointConfig",
        "DebugHookConfig",
        "DebugRuleConfigurations",
        "Environment",
        "HyperParameters",
        "InputDataConfig",
    ),
    "Processing": ("AppSpecification", "Environment", "ProcessingInputs"),
}
_DURATION = re.compile(
    r"P?(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?",
    re.IGNORECASE,
)


Objects = dict[str, dict[str, int]]  # by URI: the objects there by name, with their sizes in bytes


class Entry(BaseModel):
    """A result to use again; `objects` has what `left` said when the step had succeeded."""

    execution_id: str
    succeeded: datetime
    log: str | None
    metrics: dict[str, float]
    properties: dict[str, Any]
    objects: Objects


def enabled(step: Step) -> bool:
    """Whether the definition turned caching on for a step that can be cached."""
    return step.type in _KEY_MEMBERS and step.cached


def cache_key(execution: Execution, step: Step, arguments: Mapping[str, Any], repository: Path) -> str:
    """What must be equal for two runs of a step to be the same; `arguments` are the evaluated ones.

    The engine is: whoever asks for containers wants to know whether they work.
    """
    request = {member: arguments.get(member) for member in _KEY_MEMBERS[step.type]}
    where = [execution.pipeline_name, execution.engine]
    content = [*where, step.name, step.type, request, code_key(repository / "steps")]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def find(root: Path, key: str, step: Step, store: Store) -> Entry | None:
    """The latest result under a key, unless it is too old, its objects are not those that the step left, or its file is
    damaged: the step then runs, which writes the file anew."""
    try:
        entry = damage.read(_file(root, key), f"the cached result of {step.name}", Entry.model_validate_json)
    except (FileNotFoundError, Damaged):
        return None
    limit = step.cache.get("ExpireAfter")
    if limit and now() - entry.succeeded > parse_duration(limit):
        return None
    return entry if left(entry.properties, store) == entry.objects else None


def left(properties: Mapping[str, Any], store: Store) -> Objects:
    """What the store has of a job's outputs and artifacts, by its Describe answer."""
    return {uri: store.sizes(uri) for uri in _results(properties)}


def remember(root: Path, key: str, entry: Entry) -> None:
    """Keep a result for later executions."""
    write_text(_file(root, key), entry.model_dump_json(indent=2) + "\n")


def parse_duration(text: str) -> timedelta:
    """An ISO 8601 duration as SageMaker takes it: `P30D`, `30d`, `T12H`, `P4DT12H`. A month is 30 days, a year 365.

    Raises:
        UserError: it is none.
    """
    match = _DURATION.fullmatch(text)
    parts = {name: int(value) for name, value in match.groupdict().items() if value} if match else {}
    if not parts:
        raise UserError(f"CacheConfig.ExpireAfter {text!r}: not a duration such as P30D, T12H or P4DT12H")
    days = parts.pop("years", 0) * 365 + parts.pop("months", 0) * 30 + parts.pop("days", 0)
    return timedelta(days=days, **parts)


def _results(properties: Mapping[str, Any]) -> Iterator[str]:
    if "ModelArtifacts" in properties:
        yield properties["ModelArtifacts"]["S3ModelArtifacts"]
    for output in properties.get("ProcessingOutputConfig", {}).get("Outputs", []):
        yield output["S3Output"]["S3Uri"]


def _file(root: Path, key: str) -> Path:
    return root.resolve() / "cache" / f"{key}.json"
