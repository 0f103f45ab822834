"""What the types of all sections of `configs/*.yaml` share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

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


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
