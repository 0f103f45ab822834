"""What the types of all sections of `configs/*.yaml` share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

_TAG_TEXT = r"^[\w .:/=+@-]*$"
TagKey = Annotated[str, Field(min_length=1, max_length=128, pattern=_TAG_TEXT)]
TagValue = Annotated[str, Field(max_length=256, pattern=_TAG_TEXT)]
Tags = Annotated[  # a resource has at most 50; the account's and the workflow's come together
    dict[TagKey, TagValue],
    Field(
        max_length=25,
        description="On the pipeline, its jobs and the model package group; a workflow's override the account's.",
    ),
]


def _several_need_spark(count: int, info: ValidationInfo) -> int:
    if count > 1 and info.data.get("engine") == "python":
        raise ValueError(f"{count} instances need engine: spark; the python engine runs on one")
    return count


Engine = Annotated[Literal["python", "spark"], Field(description="python runs on one instance, spark on several.")]
EngineInstances = Annotated[  # after `engine`, which it is judged by
    int, Field(ge=1, le=100, description="More than one only with spark."), AfterValidator(_several_need_spark)
]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
