"""The types of the account's file: where the pipelines live, and the roles, images and automation that they have there.

Its section `security` is in `security.py`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.settings.section import Section, Tags
from pipeline.settings.security import Security

LogDays = Literal[  # what CloudWatch takes
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
]  # fmt: skip


class Images(Section):
    """Container images, by URI; a digest is better than a tag, since step caching looks at this text alone."""

    training: str = Field(min_length=1, max_length=255)
    processing: str = Field(min_length=1, max_length=255)
    inference: str = Field(min_length=1, max_length=255)
    spark: str | None = Field(
        None, min_length=1, max_length=255, description="Only for engine: spark, of collect and preprocess."
    )


ARN = r"^arn:aws[a-z-]*:{service}:[a-z0-9-]*:\d{{12}}:{name}$"


class Automation(Section):
    """What schedules and triggers stand on, as `bootstrap` prints it."""

    schedule_group: str = Field(pattern=r"^[0-9a-zA-Z_.-]{1,64}$", description="EventBridge Scheduler's group.")
    scheduler_role_arn: str = Field(pattern=ARN.format(service="iam", name="role/.+"), description="Starts pipelines.")
    events_role_arn: str = Field(pattern=ARN.format(service="iam", name="role/.+"), description="Runs builds.")
    dead_letter_queue_arn: str = Field(pattern=ARN.format(service="sqs", name=".+"), description="Failed starts.")
    debounce_function_arn: str = Field(
        pattern=ARN.format(service="lambda", name="function:.+"), description="Waits until uploads have ended."
    )


RoleArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")]
RoleName = Literal["champion", "preprocess", "train", "gate", "merge", "register_job", "serve"]


class Roles(Section):
    """Whose permissions each job has, and endpoints have; `role_arn`'s where none is named."""

    champion: RoleArn | None = None
    preprocess: RoleArn | None = None
    train: RoleArn | None = None
    gate: RoleArn | None = None
    merge: RoleArn | None = None
    register_job: RoleArn | None = Field(None, description="Only for register_with: job.")
    serve: RoleArn | None = Field(None, description="Of endpoints that `deploy` makes.")


class Account(Section):
    """Where the pipeline lives."""

    account_id: str = Field(pattern=r"^\d{12}$", description="AWS account; credentials of another one are refused.")
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    role_arn: RoleArn = Field(description="Role of the pipeline, and of each job that `roles` names none for.")
    roles: Roles = Roles()
    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    prefix: str = Field("dpo", pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]*[A-Za-z0-9]$", description="Key prefix in it.")
    images: Images
    security: Security = Security()
    automation: Automation | None = Field(None, description="Only for schedules and triggers.")
    log_retention_days: LogDays | None = Field(
        None, description="`bootstrap` lets CloudWatch delete older lines of all jobs of the account; none: never."
    )
    tags: Tags = Field(default_factory=dict)
    prices: str | None = Field(
        None, description="Your price table (YAML), relative to this file; `check` and `start` use it."
    )

    def role_of(self, job: RoleName) -> str:
        """The ARN of the role that a job, or an endpoint, runs as."""
        named: str | None = getattr(self.roles, job)
        return named or self.role_arn

    @property
    def inputs_uri(self) -> str:
        """The prefix of all inputs that are uploaded, each under a content-addressed key."""
        return f"s3://{self.bucket}/{self.prefix}/inputs"
