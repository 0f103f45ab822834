"""The types of the account's security settings: networks, KMS keys, isolation, and which secret holds which variable.

One section for all workflows, in the account's file: networks and keys are the account's. What they put into requests
is in `step_kit/network_and_keys.py`; which settings of a workflow they exclude, in `conflicts.py`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

SubnetId = Annotated[str, Field(pattern=r"^subnet-[0-9a-f]{8,17}$")]
GroupId = Annotated[str, Field(pattern=r"^sg-[0-9a-f]{8,17}$")]
# An alias is none: volumes take a key's id or ARN only.
KmsKey = Annotated[str, Field(pattern=r"^(arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/)?[A-Za-z0-9-]+$", max_length=255)]
# `#key` names one of a secret that is a JSON object. A Processing job's variable holds 256 characters.
SecretArn = Annotated[
    str,
    Field(pattern=r"^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:[\w/+=.@-]+(#[\w.-]+)?$", max_length=256),
]

# Families whose instances have NVMe disks, which their hardware encrypts; the API refuses a volume key for them. A `d`
# after the generation says so (m5d, g4dn, p4d); the newer accelerators have them without it.
_LOCAL_DISKS = re.compile(r"ml\.([a-z]+\d+[a-z]*d[a-z]*|g[5-9][a-z]*|gr\d|p[5-9][a-z0-9-]*|trn\d[a-z]*|i\d[a-z]*)\..+")


class Secrets(BaseModel):
    """Where the values of a job's variables are kept. A variable reaches only the jobs that use it, as the ARN."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    HF_TOKEN: SecretArn | None = Field(
        None, description="Token of the Hugging Face hub, if the base model comes from there."
    )
    WANDB_API_KEY: SecretArn | None = Field(None, description="Key of Weights & Biases, with `wandb_project`.")
    MLFLOW_TRACKING_USERNAME: SecretArn | None = Field(
        None, description="User name for MLflow, with an `mlflow_uri` that is an address."
    )
    MLFLOW_TRACKING_PASSWORD: SecretArn | None = Field(
        None, description="Password for MLflow, with an `mlflow_uri` that is an address."
    )
    MLFLOW_TRACKING_TOKEN: SecretArn | None = Field(None, description="Token for MLflow, instead of name and password.")


class Security(BaseModel):
    """Networks, keys and secrets of everything that runs in the account."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    subnets: list[SubnetId] = Field([], max_length=16, description="Private subnets of all jobs and endpoints.")
    security_groups: list[GroupId] = Field(
        [],
        max_length=5,
        validate_default=True,
        description="Their security groups, which must allow traffic among their members.",
    )
    volume_kms_key: KmsKey | None = Field(
        None, description="KMS key of the EBS volumes; NVMe disks are encrypted by their hardware and take none."
    )
    output_kms_key: KmsKey | None = Field(None, description="KMS key of what jobs write to S3, and of uploads.")
    network_isolation: bool = Field(
        False, description="No network for containers: base model from S3, no tracking server."
    )
    encrypt_training_traffic: bool = Field(
        False, description="Encrypt traffic between training instances: slower; AWS's newer ones do it in hardware."
    )

    secrets: Secrets = Field(Secrets(), description="Which secret holds a variable's value.")

    @field_validator("security_groups")
    @classmethod
    def _both_or_none(cls, groups: list[str], info: ValidationInfo) -> list[str]:
        if "subnets" in info.data and bool(groups) != bool(info.data["subnets"]):
            raise ValueError("a VPC wants both: name subnets and security_groups, or neither")
        return groups

    @property
    def vpc(self) -> dict[str, Any]:
        """The member VpcConfig, or nothing."""
        if not self.subnets:
            return {}
        return {"VpcConfig": {"Subnets": list(self.subnets), "SecurityGroupIds": list(self.security_groups)}}


def has_local_disks(instance_type: str) -> bool:
    """Whether an instance type has NVMe disks of its own."""
    return _LOCAL_DISKS.fullmatch(instance_type) is not None
