"""The account's security settings, and what they put into the request of every job, model, endpoint and upload.

One section for all workflows, in the account's file: networks and keys are the account's. Two things hold without any
setting: traffic between the instances of a Processing job is encrypted, which costs nothing there (only Spark has
several, and they exchange ids), and no container gets a secret's value from a definition, only its ARN.

Limits: checkpoints have no key of their own in the API and get the bucket's default one; the job that looks up the
champion asks the registry and is therefore never isolated; it reads no data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from steps.shared import secrets
from steps.shared.hub import is_hub_name
from steps.train.tracking.settings import is_address, login

if TYPE_CHECKING:
    from pipeline.settings.schema import WorkflowFile
    from steps.train.arguments import TrainArguments

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

    HF_TOKEN: SecretArn | None = Field(None, description="Token of the hub, where the base model comes from there.")
    WANDB_API_KEY: SecretArn | None = Field(None, description="Key of Weights & Biases, with `wandb_project`.")
    MLFLOW_TRACKING_USERNAME: SecretArn | None = Field(
        None, description="Name for MLflow, with an `mlflow_uri` that is an address."
    )
    MLFLOW_TRACKING_PASSWORD: SecretArn | None = Field(None, description="Password for MLflow, the same.")
    MLFLOW_TRACKING_TOKEN: SecretArn | None = Field(None, description="Instead of name and password.")


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
        None, description="Key of the EBS volumes; NVMe disks are encrypted by their hardware and take none."
    )
    output_kms_key: KmsKey | None = Field(None, description="Key of what jobs write to S3, and of uploads.")
    network_isolation: bool = Field(
        False, description="No network for containers: base model from S3, no tracking server."
    )
    encrypt_training_traffic: bool = Field(
        False, description="Encrypt between training instances; slower, and AWS's newer ones do it in hardware."
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


def volume(security: Security, instance_type: str, member: str = "VolumeKmsKeyId") -> dict[str, str]:
    """The key of a volume, where the instance type has one that takes it."""
    if security.volume_kms_key is None or has_local_disks(instance_type):
        return {}
    return {member: security.volume_kms_key}


def output(security: Security) -> dict[str, str]:
    """The key of what a job writes to S3."""
    return {"KmsKeyId": security.output_kms_key} if security.output_kms_key else {}


def processing_network(security: Security, *, isolated: bool) -> dict[str, Any]:
    """A Processing request's NetworkConfig.

    Args:
        isolated: the job goes without network where the settings say so.
    """
    return {
        "EnableInterContainerTrafficEncryption": True,
        "EnableNetworkIsolation": security.network_isolation and isolated,
        **security.vpc,
    }


def training_network(security: Security) -> dict[str, Any]:
    """The members of a Training request that say where it runs and who may listen."""
    return {
        "EnableInterContainerTrafficEncryption": security.encrypt_training_traffic,
        "EnableNetworkIsolation": security.network_isolation,
        **security.vpc,
    }


def model_network(security: Security) -> dict[str, Any]:
    """The same of a CreateModel request."""
    return {"EnableNetworkIsolation": security.network_isolation, **security.vpc}


def training_secrets(security: Security, recipe: TrainArguments, *, from_hub: bool) -> dict[str, str]:
    """The variables of a Training job that name the secrets which this recipe's run uses."""
    server = recipe.mlflow_uri is not None and is_address(recipe.mlflow_uri)
    names = [
        *(secrets.HUB if from_hub else ()),
        *(secrets.MLFLOW if server else ()),
        *(secrets.WANDB if recipe.wandb_project else ()),
    ]
    return named_secrets(security, names)


def named_secrets(security: Security, names: Sequence[str]) -> dict[str, str]:
    """Variables that name the secrets of these variables, those that the settings have."""
    given = security.secrets.model_dump(exclude_none=True)
    return {f"{name}{secrets.SUFFIX}": given[name] for name in names if name in given}


def upload(security: Security) -> dict[str, str]:
    """What an upload to S3 says of its encryption; without a key the bucket's default holds."""
    if security.output_kms_key is None:
        return {}
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": security.output_kms_key}


def conflicts(security: Security, settings: WorkflowFile, recipe: TrainArguments | None) -> list[str]:
    """What of a workflow could not work with the account's security settings, each with its mend."""
    if recipe and recipe.mlflow_uri and login(recipe.mlflow_uri):
        mend = "keep it in Secrets Manager and name that as security.secrets.MLFLOW_TRACKING_PASSWORD"
        return [f"recipe's mlflow_uri: holds a password, which would be uploaded with the recipe; {mend}"]
    if not security.network_isolation:
        return []
    found = []
    if recipe and not settings.make_model and is_hub_name(recipe.model_id):
        mend = "copy the model to S3 and write model_id: s3://BUCKET/MODEL/"
        found.append(f"recipe's model_id: {recipe.model_id} is fetched from the hub; {mend}")
    if recipe and recipe.mlflow_uri and not recipe.mlflow_uri.startswith("sqlite:"):
        found.append("recipe's mlflow_uri: a tracking server cannot be reached; leave it out, or write sqlite:///FILE")
    if recipe and recipe.wandb_project:
        found.append("recipe's wandb_project: Weights & Biases cannot be reached; leave it out")
    if settings.preprocess.instance_count > 1:
        mend = "write preprocess.instance_count: 1"
        found.append(f"preprocess.engine: spark: its instances cannot reach each other in a Processing job; {mend}")
    return [f"{text} (the account has security.network_isolation)" for text in found]


def instance_problems(security: Security, rendered_for: str, overrides: Mapping[str, str]) -> list[str]:
    """Why a training instance type of an execution's own does not fit the volume key that the definition has."""
    wanted = overrides.get("TrainInstanceType", rendered_for)
    if security.volume_kms_key is None or has_local_disks(wanted) == has_local_disks(rendered_for):
        return []
    mend = "write it as train.instance_type and upsert"
    if has_local_disks(wanted):
        return [f"TrainInstanceType: {wanted} has disks of its own and takes no security.volume_kms_key; {mend}"]
    return [f"TrainInstanceType: {wanted} would run without security.volume_kms_key; {mend}"]
