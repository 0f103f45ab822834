"""The preflight of recipes and workflows: finds the model's config, names the machine, asks `steps/train/preflight`.

Contacts nobody: a hub model's config is read only where a local file is named. What is drawn from it is for
`table.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.files import ROOT
from pipeline.parameters.declared import training_arguments
from pipeline.preflight import candidates
from pipeline.settings.assets import Asset
from pipeline.settings.workflow import Workflow
from steps.shared import typed_yaml
from steps.shared.contract import StepError
from steps.shared.hub import is_hub_name
from steps.train.arguments import TrainArguments
from steps.train.footprint.ask import Measured, measure
from steps.train.model import initial_adapter
from steps.train.model import shape as model_shape
from steps.train.model.shape import ModelShape, UnknownModel
from steps.train.preflight import base_alone, conflicts
from steps.train.preflight.base_alone import BaseAlone
from steps.train.preflight.conflicts import Problem
from steps.train.preflight.instances import find
from steps.train.preflight.preflight import Machine, Preflight, on_instances, preflight


def of_recipe(
    recipe: TrainArguments, instance_type: str | None, instance_count: int, model_config: Path | None, rows: int | None
) -> Preflight:
    """The preflight of a recipe on a number of instances, or on nothing in particular."""
    return _judge(recipe, on_instances(instance_type, instance_count), model_config, rows)


def of_workflow(workflow: Workflow, model_config: Path | None, rows: int | None) -> Preflight:
    """The preflight of a workflow's Train step."""
    train = workflow.settings.train
    each = None if train.processes_per_node == "auto" else train.processes_per_node
    machine = on_instances(train.instance_type, train.instance_count, each)
    result = _judge(workflow.recipe, machine, model_config, rows, made_by=workflow.settings.make_model)
    adapter = [
        Problem("train.initial_adapter", text) for text in initial_adapter_problems(workflow, {}, workflow.assets)
    ]
    answering = candidates.problems(workflow, shape_at_hand(workflow.recipe.model_id, model_config)[0])
    return replace(result, problems=[*_processes(train.instance_type, each), *adapter, *answering, *result.problems])


def initial_adapter_problems(workflow: Workflow, values: Mapping[str, str], assets: Sequence[Asset]) -> list[str]:
    """Why training could not continue from the adapter of these parameter values; nothing of one that lies in S3.

    Its values are looked at by the training job, which also compares it with a model that is not at hand here.
    """
    paths = {asset.uri: asset.path for asset in assets}
    uri = values.get("InitialAdapterUri", workflow.initial_adapter_uri)
    folder = paths.get(uri) if uri else None
    if folder is None:
        return []
    arguments = training_arguments(workflow, values)
    model = values.get("ModelUri", workflow.model_uri) or arguments.model_id
    try:
        shape, _ = shape_at_hand(str(paths.get(model, model)))
        return initial_adapter.problems(folder, arguments, shape)
    except StepError as error:
        return [str(error)]


def _judge(
    recipe: TrainArguments, machine: Machine, model_config: Path | None, rows: int | None, made_by: str | None = None
) -> Preflight:
    shape, unknown = shape_at_hand(recipe.model_id, model_config, made_by)
    found, base, at = Measured(), None, config_at_hand(recipe.model_id, model_config)
    if shape is None and at:
        found = measure(recipe, at)
        base = None if found.footprint else base_at_hand(recipe.model_id, model_config)
        unknown = f"{unknown}; {found.unknown}" if found.unknown else unknown
    result = preflight(recipe, machine, shape, unknown=unknown, rows=rows, base=base, measured=found.footprint)
    refused = [_refusal(found.refused)] if found.refused else []
    problems = [*refused, *result.problems, *conflicts.serving_problems(recipe, shape)]
    return replace(result, problems=problems, notes=[*result.notes, *found.shares])


def _refusal(text: str) -> Problem:
    """What training would refuse; most begin with the recipe's key."""
    key, _, rest = text.partition(": ")
    return Problem(key, rest) if key in TrainArguments.model_fields else Problem("model_id", text)


def config_at_hand(model_id: str, model_config: Path | None = None) -> Path | None:
    """The config.json that is named, or that of a local model; None where it is not here."""
    if model_config is not None:
        return model_config
    files = (folder / "config.json" for folder in (Path(model_id), ROOT / model_id))
    return next((file for file in files if file.is_file()), None)


def base_at_hand(model_id: str, model_config: Path | None = None) -> BaseAlone | None:
    """What the files of a base on this machine tell of its weights; None where there are none."""
    folders = (Path(model_id), ROOT / model_id) if model_config is None else (model_config, model_config.parent)
    return next(filter(None, (base_alone.of_folder(folder) for folder in folders if folder.is_dir())), None)


def _processes(instance_type: str, each: int | None) -> list[Problem]:
    """Two processes cannot share a GPU: NCCL refuses it."""
    instance = find(instance_type)
    if each is None or instance is None or not instance.gpus or each <= instance.gpus:
        return []
    return [
        Problem(
            "train.processes_per_node", f"{each} is above the {instance.gpus} GPU(s) of {instance_type}; write auto"
        )
    ]


def worded(problems: Sequence[Problem], recipe: Path, *, named: bool = False) -> list[str]:
    """The problems as text, those of a recipe's key with its line; `named`: and with the recipe's path before it."""
    lines = typed_yaml.key_lines(recipe)
    prefix = f"{recipe}: " if named else ""
    return [
        f"{prefix}{typed_yaml.placed(str(problem), lines.get(problem.key))}"
        if problem.key in TrainArguments.model_fields
        else str(problem)
        for problem in problems
    ]


def shape_at_hand(
    model_id: str, model_config: Path | None = None, made_by: str | None = None
) -> tuple[ModelShape | None, str | None]:
    """The model's shape, or why it is not known here.

    Raises:
        StepError: the named config.json is missing or not JSON.
    """
    try:
        if at := config_at_hand(model_id, model_config):
            return model_shape.read(at), None
    except UnknownModel as error:
        return None, str(error)
    if made_by:
        return None, f"{model_id} is made when an execution starts (make_model: {made_by})"
    where = (
        "lies in S3" if model_id.startswith("s3://") else "is a hub name" if is_hub_name(model_id) else "is no folder"
    )
    return None, (
        f"{model_id} {where} and its config.json is not at hand; copy that one file and name it: --model-config FILE"
    )
