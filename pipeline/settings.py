"""Workflow settings: YAML -> typed settings. The only reader of `configs/*.yaml`.

Three files, none repeating another: the workflow (steps, instances, thresholds), the account it runs in (shared by all
workflows) and the recipe (flat training arguments, which only `steps/train` interprets). Local files named in them
(data, recipe, model) become assets: each has an S3 URI under a content-addressed key, so that step caching never
mistakes new content for old.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.content import content_key
from steps import typed_yaml
from steps.hub import is_hub_name
from steps.train import arguments as train_arguments
from steps.train.arguments import TrainArguments

ROOT = Path(__file__).resolve().parents[1]
STEPS = ROOT / "steps"
DEFAULT_SETTINGS = ROOT / "configs" / "quickstart.yaml"

InstanceType = Annotated[str, Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9-]+$", description="SageMaker instance type.")]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Hours = Annotated[float, Field(gt=0, le=28 * 24, description="Longest run; the job is stopped after it.")]
VolumeGb = Annotated[int, Field(ge=1, le=16384, description="EBS volume; ignored where the instance has NVMe.")]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Images(Section):
    """Container images, by URI; a digest is better than a tag, since step caching looks at this text alone."""

    training: str = Field(min_length=1, max_length=255)
    processing: str = Field(min_length=1, max_length=255)
    inference: str = Field(min_length=1, max_length=255)


class Account(Section):
    """Where the pipeline lives."""

    account_id: str = Field(pattern=r"^\d{12}$", description="AWS account; credentials of another one are refused.")
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    role_arn: str = Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$", description="Execution role of all jobs.")
    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    prefix: str = Field("dpo", pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]*[A-Za-z0-9]$", description="Key prefix in it.")
    images: Images


class Preprocess(Section):
    instance_type: InstanceType = "ml.m5.xlarge"
    volume_gb: VolumeGb = 30
    max_runtime_hours: Hours = 2
    validation_fraction: Fraction = Field(0.1, description="Share of prompts that is held out.")
    max_invalid_fraction: float = Field(0.1, ge=0, le=1, description="More invalid rows than this stop the run.")


class Train(Section):
    instance_type: InstanceType
    instance_count: int = Field(1, ge=1, le=64)
    processes_per_node: Literal["auto"] | Annotated[int, Field(ge=1, le=64)] = "auto"
    volume_gb: VolumeGb = 100
    max_runtime_hours: Hours = 24
    spot: bool = Field(False, description="Managed spot training; checkpoints make interruptions cheap.")
    spot_max_wait_hours: Hours = Field(48, description="Longest wait and run together; used with spot only.")


class Gate(Section):
    instance_type: InstanceType = "ml.t3.medium"
    reward_accuracy_threshold: float = Field(0.6, ge=0, le=1, description="Least held-out reward accuracy.")


class Merge(Section):
    instance_type: InstanceType = "ml.m5.xlarge"
    volume_gb: VolumeGb = 100
    max_runtime_hours: Hours = 6


class Register(Section):
    package_group: str = Field(pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$")
    approval_status: Literal["PendingManualApproval", "Approved", "Rejected"] = "PendingManualApproval"
    inference_instance_types: list[InstanceType] = Field(["ml.g5.2xlarge"], min_length=1)


class Cache(Section):
    enabled: bool = True
    expire_after_days: int = Field(30, ge=1, description="Steps older than this run again.")


class WorkflowFile(Section):
    """One file `configs/NAME.yaml`."""

    pipeline_name: str = Field(pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,255}$")
    description: str = Field("", max_length=3072)
    account: str = Field("account.yaml", description="Account file, beside this one.")
    recipe: str = Field(description="Recipe, relative to this file.")
    data: str = Field(description="Default preference data: an S3 URI, or a file or folder relative to this file.")
    make_model: str | None = Field(
        None, description="Module that makes the recipe's model folder (`python -m MODULE --output FOLDER`)."
    )
    preprocess: Preprocess = Preprocess()
    train: Train
    gate: Gate = Gate()
    merge: Merge = Merge()
    register_model: Register = Field(alias="register")
    cache: Cache = Cache()


@dataclass(frozen=True)
class Asset:
    """Something local that an execution needs in S3.

    Attributes:
        uri: where it belongs; content-addressed. A folder's URI ends in "/".
        path: the local file or folder; may not exist yet when `module` makes it.
        module: makes `path` with `python -m MODULE --output PATH`.
    """

    uri: str
    path: Path
    module: str | None = None


@dataclass(frozen=True)
class Workflow:
    """Everything the definition is rendered from: no network, clock or environment beyond it."""

    settings: WorkflowFile
    account: Account
    recipe: TrainArguments
    recipe_uri: str
    data_uri: str
    model_uri: str | None  # None: recipe.model_id is a hub name
    code_version: str  # hash of the code that the containers run, with or without git
    assets: tuple[Asset, ...]
    recipe_key: str

    @property
    def base_uri(self) -> str:
        return f"s3://{self.account.bucket}/{self.account.prefix}/{self.settings.pipeline_name}"


def load(path: Path) -> Workflow:
    """Read a workflow with its account and recipe.

    Raises:
        InvalidFile: the problems of the first of the three files that has some; see `problems` for all of them.
    """
    settings = typed_yaml.load(path, WorkflowFile)
    account = typed_yaml.load(path.parent / settings.account, Account)
    recipe_path = path.parent / settings.recipe
    recipe = train_arguments.load(recipe_path)
    inputs = f"s3://{account.bucket}/{account.prefix}/inputs"

    recipe_key = content_key(recipe_path)
    recipe_asset = Asset(f"{inputs}/recipes/{recipe_key}/args.yaml", recipe_path)
    data_asset = _asset(settings.data, path.parent, f"{inputs}/data", path, "data")
    model_asset = _model_asset(settings, recipe, f"{inputs}/models", path)
    assets = [recipe_asset, *(asset for asset in (data_asset, model_asset) if isinstance(asset, Asset))]
    return Workflow(
        settings=settings,
        account=account,
        recipe=recipe,
        recipe_uri=recipe_asset.uri.removesuffix("args.yaml"),
        data_uri=data_asset if isinstance(data_asset, str) else data_asset.uri,
        model_uri=model_asset.uri if isinstance(model_asset, Asset) else model_asset,
        code_version=content_key(STEPS),
        assets=tuple(assets),
        recipe_key=recipe_key,
    )


def problems(path: Path) -> list[str]:
    """Every problem of a workflow file and the files it names, each with its place; empty when `load` would work."""
    found: list[str] = []
    try:
        settings = typed_yaml.load(path, WorkflowFile)
    except typed_yaml.InvalidFile as error:
        return _located(error)
    for read in (
        lambda: typed_yaml.load(path.parent / settings.account, Account),
        lambda: train_arguments.load(path.parent / settings.recipe),
        lambda: _asset(settings.data, path.parent, "s3://bucket", path, "data"),
    ):
        try:
            read()
        except typed_yaml.InvalidFile as error:
            found += _located(error)
    if not found:
        try:
            load(path)
        except typed_yaml.InvalidFile as error:
            found += _located(error)
    return found


def _located(error: typed_yaml.InvalidFile) -> list[str]:
    return [f"{error.path}: {problem}" for problem in error.problems]


def _model_asset(settings: WorkflowFile, recipe: TrainArguments, inputs: str, file: Path) -> Asset | str | None:
    model_id = recipe.model_id
    if settings.make_model:
        module = STEPS.parent / Path(*settings.make_model.split("."))
        if not module.with_suffix(".py").is_file():
            raise typed_yaml.InvalidFile(file, [f"make_model: {settings.make_model}: there is no such module"])
        key = content_key(module.parent)  # the folder that makes it: code and data
        return Asset(f"{inputs}/{key}/", ROOT / model_id, settings.make_model)
    if is_hub_name(model_id):
        return None
    return _asset(model_id, ROOT, inputs, file, "recipe's model_id")


def _asset(named: str, beside: Path, inputs: str, file: Path, key: str) -> Asset | str:
    """An S3 URI stays; a local file or folder becomes an asset."""
    if named.startswith("s3://"):
        return named
    path = beside / named
    if not path.exists():
        raise typed_yaml.InvalidFile(file, [f"{key}: {named}: there is no such file or folder ({path})"])
    return Asset(asset_uri(path, inputs), path)


def asset_uri(path: Path, inputs: str) -> str:
    """Where a local file or folder belongs under the prefix `inputs`: `<content hash>/<name>`, or `<content hash>/`."""
    key = content_key(path)
    return f"{inputs}/{key}/" if path.is_dir() else f"{inputs}/{key}/{path.name}"
