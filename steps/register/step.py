"""Definition of registration: the CreateModelPackage request of the merged model or of the adapter.

The container is AWS's LMI (vLLM); `steps/shared/serving.py` says what it reads. The model card comes from the gate,
whose property file has it as one text.

A RegisterModel step's members are a list of Pipelines' own, shorter than the API's: it has refused
`CustomerMetadataProperties` and `AdditionalModelDataSources` ("Unknown Argument member", aws/sagemaker-python-sdk,
issues 2972 and 4994); it took up `ModelCard` in 2024 (pull request 4726) and the SDK offers `ModelDataSource` (pull
request 4492). Where it refuses, `register_with: job` sends the same request from a small job. Limits: neither the step,
with the card by way of a property file and the environment, nor the job has run on AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.mlops.workflow.steps import StepTypeEnum

from pipeline.step_kit.processing_job import Instances, ProcessingJob, module, output_uri
from pipeline.step_kit.request_step import RequestStep
from steps.champion import step as champion_step
from steps.gate import step as gate_step
from steps.register.repeat import TRACKED
from steps.register.request import Registration, package_request
from steps.shared.served_files import OF_ADAPTER, OF_MODEL
from steps.shared.serving import ADAPTER_TOKENIZER, MODEL, tool_call_parser

if TYPE_CHECKING:
    from pipeline.settings.workflow import Workflow
    from pipeline.step_kit.scope import Scope

DECISION = "/opt/ml/processing/input/decision"
OUTPUT = "/opt/ml/processing/output/registered"


class Served(NamedTuple):
    """What is registered.

    Attributes:
        variant: `Merged` (a model of its own) or `Adapter` (served with its base).
        uri: the prefix of the folder that is served, without a slash at the end.
        manifest_sha256: the hash of that folder's manifest.
    """

    variant: str
    uri: object
    manifest_sha256: JsonGet


class Upstream(NamedTuple):
    """The steps that a registration has its facts from."""

    champion: RequestStep
    preprocess: RequestStep
    gate: RequestStep


def build(scope: Scope, served: Served, upstream: Upstream) -> RequestStep:
    """The step that registers, or the job in its place; the job's property file `registered` has the version's ARN."""
    settings, variant = scope.workflow.settings.register_model, served.variant
    version = _version(scope, served, upstream)
    name, description = f"Register{variant}", f"Register the {variant.lower()} model in {settings.package_group}."
    if settings.register_with == "job":
        return _job(scope, version, upstream.gate).step(scope, name, description, cached=False)
    return RequestStep(
        name,
        StepTypeEnum.REGISTER_MODEL,
        package_request(version),
        display_name=f"Register {variant.lower()}",
        description=description,
    )


def _version(scope: Scope, served: Served, upstream: Upstream) -> Registration:
    workflow, settings = scope.workflow, scope.workflow.settings.register_model
    champion, preprocess, gate = upstream
    variant = served.variant
    return Registration(
        group=settings.package_group,
        description=f"{workflow.settings.pipeline_name}: DPO {variant.lower()} model",
        approval_status=scope.parameter["ModelApprovalStatus"],
        image=workflow.account.images.inference,
        model_uri=Join(on="", values=[served.uri, "/"]),  # a prefix must end in "/"
        environment=_environment(scope, variant, champion, gate),
        instance_types=settings.inference_instance_types,
        evaluation_uri=Join(on="/", values=[output_uri(gate, "decision"), "evaluation.json"]),
        report_uri=Join(on="/", values=[output_uri(preprocess, "report"), "report.json"]),
        card=_get(gate, "card", "content"),
        metadata={
            "variant": variant.lower(),
            "adapter_uri": Join(on="", values=[gate_step.adapter_uri(gate), "/"]),
            OF_MODEL: served.manifest_sha256,
            OF_ADAPTER: _get(gate, "gate", "manifest_sha256"),
            "base_model": _base(scope, champion),
            "code_version": workflow.code_version,
            "data_hash": _get(preprocess, "report", "data_hash"),
            "execution_arn": ExecutionVariables.PIPELINE_EXECUTION_ARN,
            "gate": _get(gate, "gate", "summary"),
            "champion": _get(gate, "gate", "champion"),
            "champion_reward_accuracy": _get(gate, "gate", "champion_reward_accuracy"),
            "reward_accuracy": _text(_get(gate, "gate", "reward_accuracy")),
            **{name: _get(gate, "gate", name) for name in ("form", "served_drift", "calls", "calls_before")},
            **{name: _get(gate, "gate", name) for name in TRACKED},
        },
    )


def _job(scope: Scope, version: Registration, gate: RequestStep) -> ProcessingJob:
    """A job that sends the same request. The card, too long for an argument, comes with the gate's files."""
    return ProcessingJob(
        role="register_job",
        command=module("steps.register"),
        arguments=[
            "--group", version.group,
            "--description", version.description,
            "--approval-status", version.approval_status,
            "--image", version.image,
            "--model-uri", version.model_uri,
            *_pairs("--environment", version.environment),
            *(word for instance in version.instance_types for word in ("--instance-type", instance)),
            "--evaluation-uri", version.evaluation_uri,
            "--report-uri", version.report_uri,
            "--card", f"{DECISION}/card.json",
            *_pairs("--metadata", version.metadata),
            "--output", OUTPUT,
        ],
        inputs={"decision": output_uri(gate, "decision")},
        outputs={"registered": OUTPUT},
        property_files={"registered": ("registered", "registered.json")},
        instances=Instances(scope.workflow.settings.register_model.instance_type),
        isolated=False,  # it writes to the registry
    )  # fmt: skip


def _pairs(option: str, values: Mapping[str, Any]) -> list[Any]:
    return [word for name, value in values.items() for word in (option, Join(on="", values=[f"{name}=", value]))]


def _base(scope: Scope, champion: RequestStep) -> Any:
    """The base model, one from the hub with its commit, as text."""
    if "ModelUri" in scope.parameter:
        return scope.parameter["ModelUri"]
    return Join(on="@", values=[scope.parameter["ModelId"], champion_step.base_commit(champion)])


def _environment(scope: Scope, variant: str, champion: RequestStep, gate: RequestStep) -> dict[str, Any]:
    """What the container needs to serve the model; an adapter is served on its base by vLLM's LoRA support."""
    model = {"HF_MODEL_ID": MODEL} if variant == "Merged" else _adapter(scope, champion, gate)
    return model | _chat(scope.workflow)


def _adapter(scope: Scope, champion: RequestStep, gate: RequestStep) -> dict[str, Any]:
    rank = _text(_get(gate, "gate", "max_lora_rank"))
    lora = {"OPTION_ENABLE_LORA": "true", "OPTION_MAX_LORA_RANK": rank}
    if scope.workflow.recipe.chat_template_kwargs:
        lora["OPTION_TOKENIZER"] = ADAPTER_TOKENIZER
    if "ModelUri" in scope.parameter:
        return {"OPTION_MODEL_ID": scope.parameter["ModelUri"], **lora}
    base = {"OPTION_MODEL_ID": scope.parameter["ModelId"], "OPTION_REVISION": champion_step.base_commit(champion)}
    return base | lora


def _chat(workflow: Workflow) -> dict[str, str]:
    """Whether tool calls come parsed, and how long a conversation may be. `auto` goes by the recipe, by the parser that
    it names or by its model: an execution that names one of another family in ModelId is registered with the recipe's
    parser."""
    settings, recipe = workflow.settings.register_model, workflow.recipe
    parser = settings.tool_call_parser if settings.tool_call_parser != "auto" else recipe.tool_call_parser
    if parser == "auto":
        parser = tool_call_parser(recipe.base_model_name or recipe.model_id) or "none"
    found: dict[str, str] = {}
    if parser != "none":
        found |= {"OPTION_ENABLE_AUTO_TOOL_CHOICE": "true", "OPTION_TOOL_CALL_PARSER": parser}
    if settings.max_model_len is not None:
        found["OPTION_MAX_MODEL_LEN"] = str(settings.max_model_len)
    return found


def _get(step: RequestStep, property_file: str, path: str) -> JsonGet:
    return JsonGet(step_name=step.name, property_file=property_file, json_path=path)


def _text(number: JsonGet) -> Join:
    """A number of a property file where the request wants text."""
    return Join(on="", values=[number])
