"""The section `candidates:` of a workflow's file: pairs from several answers of the champion to prompts without one."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from pipeline.settings.section import Section


def _folder_or_file(named: str | None) -> str | None:
    if named and named.startswith("s3://") and not named.endswith("/"):
        raise ValueError(f'{named}: must end in "/"; without it the prefix also takes in its siblings')
    return named


class Candidates(Section):
    prompts: Annotated[str | None, AfterValidator(_folder_or_file)] = Field(
        None, description="Your own prompts, a file, a folder or an S3 prefix; beside Collect's, or without it."
    )
    instance_type: str = Field(
        "ml.g5.2xlarge",
        pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9-]+$",
        description="SageMaker instance type; one of its GPUs must hold the unquantised base.",
    )
    volume_gb: int = Field(100, ge=1, le=16384, description="Size of its EBS volume: base and adapter fit in it.")
    max_runtime_hours: float = Field(4, gt=0, le=28 * 24, description="Longest run; the job is stopped after it.")
    answers: int = Field(4, ge=2, le=64, description="Answers to each prompt.")
    temperature: float = Field(1.0, gt=0, le=10, description="That they are drawn at.")
    top_p: float = Field(0.95, gt=0, le=1, description="Share of the likeliest tokens that are drawn from.")
    max_new_tokens: int = Field(512, ge=1, description="Of an answer; one that goes on is in no pair.")
    seed: int = Field(0, ge=0, description="Of the draws: the same seed, the same answers.")
    margin: float = Field(
        0.3, ge=0, lt=1, description="By more than this the best answer's score is above the worst's."
    )
    max_prompts: int = Field(1000, ge=1, description="Most prompts that are answered, Collect's newest first.")
    max_minutes: float = Field(60, gt=0, description="Time for answers and judge; what has none by then is left out.")
    judge_max_tokens: int = Field(
        500_000, ge=1, description="Tokens after which `gate.judge` compares no more; they are what it costs."
    )

    @field_validator("max_minutes")
    @classmethod
    def _ends_before_the_job_is_stopped(cls, minutes: float, info: ValidationInfo) -> float:
        hours = info.data.get("max_runtime_hours")
        if hours is not None and minutes >= 60 * hours:
            raise ValueError(
                f"{minutes:g} must be below max_runtime_hours, {60 * hours:g} minutes: loading takes some too"
            )
        return minutes
