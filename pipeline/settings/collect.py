"""The section `collect:` of a workflow's file: pairs from what endpoints answered and what people said about it."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pipeline.settings.section import Engine, EngineInstances, Section

ARGUMENT = 256  # characters that a container's argument takes


def _expression(pattern: str) -> str:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern}: no regular expression: {error}") from None
    if compiled.match(""):
        raise ValueError(f"{pattern}: finds an empty text; let it find at least a character")
    return pattern


Expression = Annotated[str, Field(min_length=1, max_length=ARGUMENT), AfterValidator(_expression)]


class Collect(Section):
    engine: Engine = "python"
    instance_type: str = Field(
        "ml.m5.xlarge", pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9-]+$", description="SageMaker instance type."
    )
    instance_count: EngineInstances = 1
    volume_gb: int = Field(30, ge=1, le=16384, description="Size of its EBS volume: captures and given data fit in it.")
    max_runtime_hours: float = Field(1, gt=0, le=28 * 24, description="Longest run; the job is stopped after it.")
    max_feedback_share: float = Field(
        0.5, gt=0, le=1, description="Largest share of feedback's pairs in training; the oldest are left out."
    )
    feedback_weight: int = Field(
        1, ge=1, le=1000, description="How often a pass of training sees each pair of feedback; the other rows, once."
    )
    max_age_days: float | None = Field(None, gt=0, description="Leave out what was answered longer ago.")
    contradictions: Literal["majority", "leave_out"] = Field(
        "majority", description="What counts where people disagree about an answer."
    )
    max_per_person_and_day: int | None = Field(
        None, ge=1, description="Most opinions of a named person that count in a day."
    )
    redact: tuple[Literal["mail", "account", "phone"], ...] = Field(
        ("mail", "account", "phone"), description="Personal data that is taken out before anything is written."
    )
    redact_patterns: tuple[Expression, ...] = Field(
        (), max_length=20, description="Regular expressions of more to take out."
    )
