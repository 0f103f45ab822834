"""Definition of the Train step: the FSDP + QLoRA DPO container, torchrun on every node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.mlops.workflow.steps import StepTypeEnum

from pipeline.parameters.declared import TRAINING
from pipeline.step_kit import network_and_keys
from pipeline.step_kit.processing_job import output_uri
from pipeline.step_kit.request_step import RequestStep
from steps.champion import step as champion_step
from steps.train.metrics.lines import DEFINITIONS
from steps.train.tracking.label import PIPELINE

if TYPE_CHECKING:
    from pipeline.settings.schema import Train
    from pipeline.step_kit.scope import Scope

CHANNELS = "/opt/ml/input/data"
ORIGINS = {"model": "ModelUri", "initial_adapter": "InitialAdapterUri"}  # channels that only some workflows have


def build(scope: Scope, preprocess: RequestStep, champion: RequestStep) -> RequestStep:
    """Reads the splits with their report, the recipe, the champion's adapter, and base and initial adapter where they
    come from S3; leaves the adapter uncompressed."""
    workflow, settings, parameter = scope.workflow, scope.workflow.settings.train, scope.parameter
    request = {
        "AlgorithmSpecification": {
            "TrainingImage": workflow.account.images.training,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python3", "-m", "steps.train.launch"],
            "ContainerArguments": ["--processes-per-node", str(settings.processes_per_node)],
            "MetricDefinitions": DEFINITIONS,
        },
        "RoleArn": workflow.account.role_of("train"),
        "HyperParameters": hyperparameters(scope, champion),
        "InputDataConfig": [
            _channel("train", output_uri(preprocess, "train")),
            _channel("validation", output_uri(preprocess, "validation")),
            _channel("report", output_uri(preprocess, "report")),
            _channel("config", workflow.recipe_uri),
            _channel("champion", champion_step.fact(champion, "adapter_uri")),
            *(_channel(channel, parameter[name]) for channel, name in ORIGINS.items() if name in parameter),
        ],
        "OutputDataConfig": {
            "S3OutputPath": scope.run_uri("Train"),
            "CompressionType": "NONE",
            **network_and_keys.output(workflow.account.security),
        },
        "CheckpointConfig": {"S3Uri": checkpoint_uri(scope, preprocess, champion), "LocalPath": "/opt/ml/checkpoints"},
        "ResourceConfig": {
            "InstanceType": parameter["TrainInstanceType"],
            "InstanceCount": parameter["TrainInstanceCount"],
            "VolumeSizeInGB": settings.volume_gb,
            **_keep_alive(settings),
            **network_and_keys.volume(workflow.account.security, settings.instance_type),
        },
        "StoppingCondition": _stopping(settings),
        "EnableManagedSpotTraining": settings.spot,
        **network_and_keys.training_network(workflow.account.security),
        **workflow.job_tags,
    }
    from_hub = "ModelId" in parameter
    request["Environment"] = {
        PIPELINE: workflow.settings.pipeline_name,
        **network_and_keys.training_secrets(workflow.account.security, workflow.recipe, from_hub=from_hub),
    }
    return RequestStep(
        "Train",
        StepTypeEnum.TRAINING,
        request,
        display_name="Train",
        description="DPO with FSDP2 and QLoRA; evaluates on the held-out pairs before and after.",
        cache=scope.cache,
    )


def hyperparameters(scope: Scope, champion: RequestStep) -> dict[str, Any]:
    """What the execution's parameters change in the recipe. All values are strings, as the API wants them."""
    found: dict[str, Any] = {argument: scope.parameter[name].to_string() for name, (argument, _) in TRAINING.items()}
    found["champion_version"] = champion_step.fact(champion, "version")
    parser = scope.workflow.settings.register_model.tool_call_parser
    if parser != "auto":  # answers are judged by the parser that the endpoint will have
        found["tool_call_parser"] = parser
    collect = scope.workflow.settings.collect
    if collect and collect.feedback_weight > 1:
        found["feedback_weight"] = str(collect.feedback_weight)
    if "InitialAdapterUri" in scope.parameter:
        found["initial_adapter"] = f"{CHANNELS}/initial_adapter"
    else:
        found["continue_from_champion"] = scope.parameter["ContinueFromChampion"]
    if "ModelUri" in scope.parameter:
        # The channel's path in the container is no name for the base; a recipe's own name for it stays.
        named = {} if scope.workflow.recipe.base_model_name else {"base_model_name": scope.parameter["ModelUri"]}
        return found | {"model_id": f"{CHANNELS}/model"} | named
    return found | {"model_id": scope.parameter["ModelId"], "model_revision": champion_step.base_commit(champion)}


def checkpoint_uri(scope: Scope, preprocess: RequestStep, champion: RequestStep) -> Join:
    """A prefix that only a run on the same data, recipe, parameters, base and initial adapter shares; the champion
    changes nothing in it (a run that continued from another one is passed over by its fingerprint).

    It is part of the cache key, so it has no execution id. It ends in "/": without, `run-1` would also match `run-10`.
    """
    data_hash = JsonGet(step_name=preprocess.name, property_file="report", json_path="data_hash")
    knobs = [scope.parameter[name].to_string() for name in TRAINING]
    return Join(
        on="/",
        values=[
            f"{scope.workflow.base_uri}/checkpoints",
            scope.workflow.recipe_key,
            data_hash,
            champion_step.fact(champion, "origins_hash"),
            Join(on="_", values=knobs),
            "",
        ],
    )


def _channel(name: str, uri: Any) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, "InputMode": "File"}


def _keep_alive(settings: Train) -> dict[str, int]:
    """A warm pool: the next training job of the same instances, volume and role starts on them at once."""
    return {"KeepAlivePeriodInSeconds": settings.keep_alive_minutes * 60} if settings.keep_alive_minutes else {}


def _stopping(settings: Train) -> dict[str, int]:
    stopping = {"MaxRuntimeInSeconds": int(settings.max_runtime_hours * 3600)}
    if settings.spot:
        wait = max(settings.spot_max_wait_hours, settings.max_runtime_hours)
        stopping["MaxWaitTimeInSeconds"] = int(wait * 3600)
    return stopping
