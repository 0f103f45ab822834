"""Workflow settings: YAML -> typed settings. The only reader of `configs/*.yaml`; their types are in `schema.py` and
`account.py`.

Three files, none repeating another: the workflow (steps, instances, thresholds), the account it runs in (shared by all
workflows) and the recipe (flat training arguments, which only `steps/train` interprets). Local files named in them
(data, recipe, model, adapter, tokenizer) become assets; each is read once for its key, however many problems there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pipeline.errors import UserError
from pipeline.files import DEFAULT_SETTINGS as DEFAULT_SETTINGS
from pipeline.files import ROOT
from pipeline.settings.account import Account
from pipeline.settings.assets import Asset, Source, source
from pipeline.settings.conflicts import conflicts
from pipeline.settings.content import code_key, content_key
from pipeline.settings.schema import WorkflowFile
from steps.shared import typed_yaml
from steps.shared.hub import is_hub_name
from steps.shared.typed_yaml import InvalidFile
from steps.train import arguments as train_arguments
from steps.train.arguments import TrainArguments

STEPS = ROOT / "steps"
PLACE = "place.txt"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")

Read = TypeVar("Read")


@dataclass(frozen=True)
class Workflow:
    """Everything the definition is rendered from: no network, clock or environment beyond it."""

    settings: WorkflowFile
    account: Account
    recipe: TrainArguments
    recipe_uri: str
    data_uri: str
    validation_uri: str | None  # None: a share of the data is held out
    tokenizer_uri: str | None
    baseline_uri: str | None
    prompts_uri: str | None  # of Candidates, beside what Collect leaves
    canary_uri: str | None
    model_uri: str | None  # None: recipe.model_id is a hub name
    initial_adapter_uri: str | None
    code_version: str  # hash of the code that the containers run, with or without git
    assets: tuple[Asset, ...]
    recipe_key: str
    prices: Path | None  # the user's table, for upper bounds in dollars

    @property
    def base_uri(self) -> str:
        return f"s3://{self.account.bucket}/{self.account.prefix}/{self.settings.pipeline_name}"

    @property
    def captures_uri(self) -> str:
        """Where `deploy --capture` lets endpoints write, and `try` here."""
        return f"{self.base_uri}/captures/"

    @property
    def feedback_uri(self) -> str:
        """Where `feedback` and applications write what people said."""
        return f"{self.base_uri}/feedback/"

    @property
    def tags(self) -> dict[str, str]:
        return self.account.tags | self.settings.tags

    @property
    def job_tags(self) -> dict[str, list[dict[str, str]]]:
        """The member of a job's request that carries the tags; nothing where there are none."""
        return {"Tags": tag_list(self.tags)} if self.tags else {}


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as the API takes them."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def load(path: Path) -> Workflow:
    """Read a workflow with its account, its recipe and the files that they name.

    Raises:
        InvalidFile: the problems of the first of these files that has some; `inspect` gives all of them.
    """
    reading = _Reading(path)
    workflow = reading.workflow()
    if workflow is None:
        raise reading.errors[0]
    return workflow


def inspect(path: Path) -> tuple[Workflow | None, list[str]]:
    """The workflow, or every problem of its file and of those that it names, each with its place."""
    reading = _Reading(path)
    workflow = reading.workflow()
    return workflow, [f"{error.path}: {problem}" for error in reading.errors for problem in error.problems]


@dataclass
class _Reading:
    """One reading of a workflow's files; goes on after a problem, to name them all. Local files are read last."""

    path: Path
    errors: list[InvalidFile] = field(default_factory=list)

    def workflow(self) -> Workflow | None:
        settings = self._try(lambda: typed_yaml.load(self.path, WorkflowFile))
        if settings is None:
            return None
        beside = self.path.parent
        account_path = beside / settings.account
        account = self._try(lambda: typed_yaml.load(account_path, Account))
        recipe_path = beside / settings.recipe
        recipe = self._try(lambda: train_arguments.load(recipe_path))
        self._look(settings, recipe)
        if account:
            self._look_at("prices", account.prices, account_path.parent)
        if account and settings.preprocess.engine == "spark" and account.images.spark is None:
            fix = f"build and push containers/spark/Dockerfile, then name it as images.spark in {settings.account}"
            self._problem(f"preprocess.engine: spark: there is no image for it; {fix}")
        for conflict in conflicts(account.security, settings, recipe) if account else ():
            self._problem(conflict)
        if self.errors or account is None or recipe is None:
            return None
        return self._try(lambda: self._assembled(settings, account, recipe, recipe_path))

    def _try(self, read: Callable[[], Read]) -> Read | None:
        try:
            return read()
        except InvalidFile as error:
            self.errors.append(error)
        except UserError as error:
            self._problem(str(error))
        return None

    def _problem(self, text: str) -> None:
        self.errors.append(InvalidFile(self.path, [text]))

    def _look(self, settings: WorkflowFile, recipe: TrainArguments | None) -> None:
        """What can be told of local files without reading them."""
        beside, preprocess = self.path.parent, settings.preprocess
        self._look_at("data", settings.data, beside)
        self._look_at("preprocess.validation_data", preprocess.validation_data, beside)
        self._look_at("preprocess.canary", preprocess.canary, beside)
        self._look_at("preprocess.tokenizer", preprocess.tokenizer, beside, TOKENIZER_FILES)
        self._look_at("preprocess.baseline", preprocess.baseline, beside, ("report.json",))
        if settings.candidates:
            self._look_at("candidates.prompts", settings.candidates.prompts, beside)
            if settings.collect is None and settings.candidates.prompts is None:
                self._problem("candidates: there are no prompts; add collect:, or name your own as candidates.prompts")
        self._look_at("train.initial_adapter", settings.train.initial_adapter, beside, ("adapter_config.json",))
        if recipe and recipe.initial_adapter:
            fix = f"write it as train.initial_adapter, from where it is brought to the job: {recipe.initial_adapter}"
            self._problem(f"recipe's initial_adapter: a training job has no such folder; {fix}")
        if recipe and recipe.continue_from_champion and settings.train.initial_adapter:
            self._problem("recipe's continue_from_champion: train.initial_adapter names another adapter; take one")
        if recipe and recipe.champion:
            self._problem(f"recipe's champion: a job gets the newest approved version; leave it out: {recipe.champion}")
        if recipe and recipe.feedback_weight > 1:
            self._problem("recipe's feedback_weight: write it as collect.feedback_weight, for max_feedback_share")
        if settings.make_model:
            if not all(part.isidentifier() for part in settings.make_model.split(".")):
                self._problem(f"make_model: {settings.make_model}: must name a module, as steps.quickstart.tiny_model")
            elif not _module(settings.make_model).with_suffix(".py").is_file():
                self._problem(f"make_model: {settings.make_model}: there is no such module")
        elif recipe and not is_hub_name(recipe.model_id):
            self._look_at("recipe's model_id", recipe.model_id, ROOT)

    def _look_at(self, key: str, named: str | None, beside: Path, files: tuple[str, ...] = ()) -> None:
        """Whether a local path is there; with `files`, whether it is a folder that holds one of them."""
        if named is None or named.startswith("s3://"):
            return
        path = beside / named
        if not path.exists():
            self._problem(f"{key}: {named}: there is no such file or folder ({path})")
        elif files and not any((path / file).is_file() for file in files):
            self._problem(f"{key}: {named}: must be a folder with {files[0]}")

    def _assembled(
        self, settings: WorkflowFile, account: Account, recipe: TrainArguments, recipe_path: Path
    ) -> Workflow:
        inputs = account.inputs_uri
        preprocess, beside = settings.preprocess, self.path.parent

        def optional(named: str | None, folder: str) -> Source | None:
            return source(named, beside, f"{inputs}/{folder}") if named else None

        recipe_key = content_key(recipe_path)
        args = Asset(f"{inputs}/recipes/{recipe_key}/args.yaml", recipe_path, key=recipe_key)
        data = source(settings.data, beside, f"{inputs}/data")
        model = _model(settings, recipe, f"{inputs}/models")
        validation = optional(preprocess.validation_data, "validation")
        tokenizer = optional(preprocess.tokenizer, "tokenizers")
        baseline = optional(preprocess.baseline, "baselines")
        prompts = optional(settings.candidates.prompts if settings.candidates else None, "prompts")
        canary = optional(preprocess.canary, "canaries")
        adapter = optional(settings.train.initial_adapter, "adapters")
        sources = [one for one in (data, model, validation, tokenizer, baseline, prompts, canary, adapter) if one]
        return Workflow(
            settings=settings,
            account=account,
            recipe=recipe,
            recipe_uri=args.uri.removesuffix("args.yaml"),
            data_uri=data.uri,
            validation_uri=_uri(validation),
            tokenizer_uri=_uri(tokenizer),
            baseline_uri=_uri(baseline),
            prompts_uri=_uri(prompts),
            canary_uri=_uri(canary),
            model_uri=_uri(model),
            initial_adapter_uri=_uri(adapter),
            code_version=code_key(STEPS),
            assets=(args, *(one.asset for one in sources if one.asset), *_places(settings, account)),
            recipe_key=recipe_key,
            prices=(beside / settings.account).parent / account.prices if account.prices else None,
        )


def _places(settings: WorkflowFile, account: Account) -> tuple[Asset, ...]:
    """A file in each of the places that Collect reads: an input of a job must hold an object before anybody spoke."""
    if settings.collect is None:
        return ()
    base, about = f"s3://{account.bucket}/{account.prefix}/{settings.pipeline_name}", STEPS / "collect" / PLACE
    key = content_key(about)
    return tuple(Asset(f"{base}/{folder}/{PLACE}", about, key=key) for folder in ("captures", "feedback"))


def _uri(found: Source | None) -> str | None:
    return found.uri if found else None


def _model(settings: WorkflowFile, recipe: TrainArguments, inputs: str) -> Source | None:
    if settings.make_model:
        key = content_key(_module(settings.make_model).parent)  # the folder that makes it: code and data
        asset = Asset(f"{inputs}/{key}/", ROOT / recipe.model_id, settings.make_model)
        return Source(asset.uri, asset)
    if is_hub_name(recipe.model_id):
        return None
    return source(recipe.model_id, ROOT, inputs)


def _module(name: str) -> Path:
    return ROOT / Path(*name.split("."))
