"""What the account's networks, keys and secrets put into the request of every job, model, endpoint and upload.

Two things hold without any setting: traffic between the instances of a Processing job is encrypted, which costs nothing
there (only Spark has several, and they exchange ids), and no container gets a secret's value from a definition, only
its ARN.

Limits: checkpoints have no key of their own in the API and get the bucket's default one; the job that looks up the
champion and the one that registers talk to the registry and are therefore never isolated; the first reads no data, the
second the gate's verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipeline.settings.security import Security, has_local_disks
from steps.shared import secrets
from steps.train.tracking.settings import is_address

if TYPE_CHECKING:
    from steps.train.arguments import TrainArguments


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
