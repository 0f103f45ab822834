"""The pipeline's parameters: what Studio's "Start execution" form and a schedule can change, with defaults and help.

A parameter is whatever a person would want to change between two executions of the same definition. Managed spot is not
one: MaxWaitTimeInSeconds is invalid unless spot is on, so it is a setting. What is yes or no is a string of two values
and not a Boolean, so that the condition, the form and a schedule all compare the same text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import BaseModel, ValidationError

from pipeline.settings.conflicts import instance_problems
from pipeline.settings.schema import Gate, Preprocess, Train
from pipeline.settings.workflow import Workflow
from steps.shared.hub import name_problem
from steps.train.arguments import LossType, TrainArguments, weights_beside
from steps.train.preflight import conflicts

Kind = Literal["String", "Integer", "Float"]
FLAGS = ("true", "false")

# parameter -> training argument; they reach the training job as hyperparameters and win over the recipe
TRAINING: dict[str, tuple[str, Kind]] = {
    "LearningRate": ("learning_rate", "Float"),
    "Beta": ("beta", "Float"),
    "LossType": ("loss_type", "String"),
    "NumTrainEpochs": ("num_train_epochs", "Float"),
    "MaxSteps": ("max_steps", "Integer"),
    "PerDeviceTrainBatchSize": ("per_device_train_batch_size", "Integer"),
    "GradientAccumulationSteps": ("gradient_accumulation_steps", "Integer"),
    "MaxLength": ("max_length", "Integer"),
    "LoraR": ("lora_r", "Integer"),
    "LoraAlpha": ("lora_alpha", "Float"),
    "Seed": ("seed", "Integer"),
}

# parameter -> the settings field whose rules a value must meet
SETTINGS: dict[str, tuple[type[BaseModel], str]] = {
    "TrainInstanceType": (Train, "instance_type"),
    "TrainInstanceCount": (Train, "instance_count"),
    "ValidationFraction": (Preprocess, "validation_fraction"),
    "MaxInvalidFraction": (Preprocess, "max_invalid_fraction"),
    "RewardAccuracyThreshold": (Gate, "reward_accuracy_threshold"),
    "ChampionTolerance": (Gate, "champion_tolerance"),
    "MinValidationRows": (Gate, "min_validation_rows"),
}


@dataclass(frozen=True)
class Parameter:
    """One pipeline parameter with the default that a workflow gives it."""

    name: str
    kind: Kind
    default: str | int | float
    help: str
    choices: tuple[str, ...] = ()


def parameters(workflow: Workflow) -> list[Parameter]:
    """All parameters of a workflow's pipeline, in the order of the form."""
    settings = workflow.settings
    return [
        Parameter("InputDataUri", "String", workflow.data_uri, "Preference data: an S3 object or prefix."),
        *_model(workflow),
        *_initial_adapter(workflow),
        Parameter("TrainInstanceType", "String", settings.train.instance_type, "Instance type of the training job."),
        Parameter("TrainInstanceCount", "Integer", settings.train.instance_count, "Instances of the training job."),
        _validation(workflow),
        Parameter(
            "MaxInvalidFraction", "Float", settings.preprocess.max_invalid_fraction,
            "Stop the run if a larger share of the rows is invalid.",
        ),
        *_training(workflow.recipe),
        Parameter(
            "RewardAccuracyThreshold", "Float", settings.gate.reward_accuracy_threshold,
            "Lowest held-out reward accuracy of a model that is registered.",
        ),
        Parameter(
            "ChampionTolerance", "Float", settings.gate.champion_tolerance,
            "How far its reward accuracy may be below the champion's, on the same rows.",
        ),
        Parameter(
            "MinValidationRows", "Integer", settings.gate.min_validation_rows,
            "Fewest held-out rows to judge a model by; a run with fewer ends before training.",
        ),
        Parameter(
            "MergeWeights", "String", str(workflow.recipe.merge_weights).lower(),
            "Merge the adapter into the base and register the merged model.", FLAGS,
        ),
        Parameter(
            "ModelApprovalStatus", "String", settings.register_model.approval_status,
            "Approval status of the registered version; Approved where register.allow_approved says so.",
            settings.register_model.approval_statuses,
        ),
        Parameter(
            "SkipIfNoNewData", "String", "false",
            "End before training if the data is that of the last registered version; schedules set it.", FLAGS,
        ),
    ]  # fmt: skip


def _validation(workflow: Workflow) -> Parameter:
    """What is held out: a share of the data, or data of its own."""
    if workflow.validation_uri is not None:
        return Parameter(
            "ValidationDataUri", "String", workflow.validation_uri, "Held-out preference data: an S3 object or prefix."
        )
    fraction = workflow.settings.preprocess.validation_fraction
    return Parameter("ValidationFraction", "Float", fraction, "Share of prompts held out for evaluation.")


def _model(workflow: Workflow) -> list[Parameter]:
    """The base model: a prefix in S3 that arrives as a channel, or a hub name that the container downloads."""
    if workflow.model_uri is not None:
        return [Parameter("ModelUri", "String", workflow.model_uri, "Base model: an S3 prefix ending in /.")]
    revision = workflow.recipe.model_revision or "main"
    return [
        Parameter("ModelId", "String", workflow.recipe.model_id, "Base model: a hub name."),
        Parameter(
            "ModelRevision", "String", revision,
            "Revision of the base model: a commit; of a branch or tag an execution takes the commit that it is then.",
        ),
    ]  # fmt: skip


def _initial_adapter(workflow: Workflow) -> list[Parameter]:
    """What training continues from: an adapter that the settings name, or, where they name none, the champion's."""
    if workflow.initial_adapter_uri is None:
        default = str(workflow.recipe.continue_from_champion).lower()
        text = "Continue from the champion's adapter, if there is one."
        return [Parameter("ContinueFromChampion", "String", default, text, FLAGS)]
    text = "Earlier adapter that training continues from: an S3 prefix ending in /."
    return [Parameter("InitialAdapterUri", "String", workflow.initial_adapter_uri, text)]


def _training(recipe: TrainArguments) -> list[Parameter]:
    found = []
    for name, (field, kind) in TRAINING.items():
        value = getattr(recipe, field)
        help_text = TrainArguments.model_fields[field].description or ""
        if field == "loss_type":
            # Several losses are a list in the recipe; the form offers the single ones and keeps the recipe's own.
            text = ",".join(value)
            choices = tuple(dict.fromkeys([text, *get_args(LossType)]))
            found.append(Parameter(name, kind, text, help_text, choices))
            continue
        found.append(Parameter(name, kind, float(value) if kind == "Float" else value, help_text))
    return found


def training_arguments(workflow: Workflow, values: Mapping[str, str]) -> TrainArguments:
    """The arguments of a training job: the recipe, with what an execution's parameters change in it.

    Raises:
        ValidationError: a value is out of range.
    """
    changed = {TRAINING[name][0]: values[name] for name in TRAINING if name in values}
    if workflow.model_uri is not None and workflow.recipe.base_model_name is None:
        changed["base_model_name"] = values.get("ModelUri", workflow.model_uri)
    elif "ModelId" in values:
        changed["model_id"] = values["ModelId"]
    flags = {"MergeWeights": "merge_weights", "ContinueFromChampion": "continue_from_champion"}
    changed |= {field: values[name] for name, field in flags.items() if name in values}
    recipe = workflow.recipe.model_dump()
    return TrainArguments.model_validate(recipe | changed | weights_beside(recipe, changed))


def range_problems(workflow: Workflow, overrides: Mapping[str, str]) -> list[str]:
    """What is out of range, or could not be served, among values that a person typed; the rules are those of the files
    that they override."""
    found = instance_problems(workflow.account.security, workflow.settings.train.instance_type, overrides)
    for name, (section, field) in SETTINGS.items():
        if name in overrides:
            try:
                section.__pydantic_validator__.validate_assignment(section.model_construct(), field, overrides[name])
            except ValidationError as error:
                found.append(f"{name}: {error.errors()[0]['msg'].replace('Input should', 'must')}")
    if "ModelId" in overrides and (problem := name_problem(overrides["ModelId"])):
        found.append(f"ModelId: {problem}")
    names = {field: name for name, (field, _) in TRAINING.items()}
    try:
        arguments = training_arguments(workflow, overrides)
    except ValidationError as error:
        for detail in error.errors():
            field = str(detail["loc"][0]) if detail["loc"] else ""
            message = detail["msg"].removeprefix("Value error, ").replace("Input should", "must")
            found.append(f"{names.get(field, field)}: {message}" if field else message)
    else:
        served = conflicts.serving_problems(arguments)
        found += [f"{names.get(problem.key, problem.key)}: {problem.message}" for problem in served]
    return found
