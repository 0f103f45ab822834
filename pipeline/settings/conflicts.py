"""What of a workflow or a start could not work with the account's security settings, each with its fix.

Isolated containers reach no hub and no tracking server, and a volume key fits only instances without NVMe disks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.settings.security import Security, has_local_disks
from steps.shared.hub import is_hub_name
from steps.train.tracking.settings import NO_MLFLOW, SQLITE, fault, has_login

if TYPE_CHECKING:
    from pipeline.settings.schema import WorkflowFile
    from steps.train.arguments import TrainArguments


def conflicts(security: Security, settings: WorkflowFile, recipe: TrainArguments | None) -> list[str]:
    """What of a workflow could not work with the account's security settings, each with its fix."""
    if recipe and recipe.mlflow_uri and (said := _tracker(recipe.mlflow_uri)):
        return [f"recipe's mlflow_uri: {said}"]
    if not security.network_isolation:
        return []
    found = []
    if recipe and not settings.make_model and is_hub_name(recipe.model_id):
        fix = "copy the model to S3 and write model_id: s3://BUCKET/MODEL/"
        found.append(f"recipe's model_id: {recipe.model_id} is fetched from the hub; {fix}")
    if recipe and recipe.mlflow_uri and recipe.mlflow_uri != NO_MLFLOW:
        found.append("recipe's mlflow_uri: a tracking server cannot be reached; leave it out, or write none")
    if recipe and recipe.wandb_project:
        found.append("recipe's wandb_project: Weights & Biases cannot be reached; leave it out")
    for name, section in settings.on_spark.items():
        if section.instance_count > 1:
            fix = f"write {name}.instance_count: 1"
            found.append(f"{name}.engine: spark: its instances cannot reach each other in a Processing job; {fix}")
    if settings.gate.judge:
        found.append("gate.judge: Amazon Bedrock cannot be reached; leave it out")
    return [f"{text} (the account has security.network_isolation)" for text in found]


def _tracker(uri: str) -> str | None:
    """Why a pipeline cannot track there; a training by hand may use a file, and a password in the address."""
    if uri == NO_MLFLOW:
        return None
    if uri.startswith(SQLITE):
        return (
            "a file is lost with the training's job; leave it out (runs on this machine are tracked in "
            ".local/mlflow.db), or name a tracking server"
        )
    if said := fault(uri):
        return said
    if has_login(uri):
        fix = "keep it in Secrets Manager and name that as security.secrets.MLFLOW_TRACKING_PASSWORD"
        return f"holds a password, which would be uploaded with the recipe; {fix}"
    return None


def instance_problems(security: Security, rendered_for: str, overrides: Mapping[str, str]) -> list[str]:
    """Why a training instance type of an execution's own does not fit the volume key that the definition has."""
    wanted = overrides.get("TrainInstanceType", rendered_for)
    if security.volume_kms_key is None or has_local_disks(wanted) == has_local_disks(rendered_for):
        return []
    fix = "write it as train.instance_type and upsert"
    if has_local_disks(wanted):
        return [f"TrainInstanceType: {wanted} has disks of its own and takes no security.volume_kms_key; {fix}"]
    return [f"TrainInstanceType: {wanted} would run without security.volume_kms_key; {fix}"]
