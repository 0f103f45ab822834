"""Definition of registration: the CreateModelPackage request of the merged model or of the adapter.

The container is AWS's LMI (vLLM); `steps/shared/serving.py` says what it reads. The model card comes from the gate,
whose property file has it as one text. Pipelines took up `ModelCard` in RegisterModel steps in 2024
(aws/sagemaker-python-sdk, pull request 4726). Limits: neither the card by way of a property file nor the environment
has run on AWS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.mlops.workflow.steps import StepTypeEnum

from pipeline.step_kit.processing_job import output_uri
from pipeline.step_kit.request_step import RequestStep
from steps.champion import step as champion_step
from steps.gate import step as gate_step
from steps.shared.serving import ADAPTER_TOKENIZER, MODEL, tool_call_parser

if TYPE_CHECKING:
    from pipeline.settings.workflow import Workflow
    from pipeline.step_kit.scope import Scope


def build(
    scope: Scope,
    variant: str,
    model_uri: object,
    champion: RequestStep,
    preprocess: RequestStep,
    gate: RequestStep,
) -> RequestStep:
    """
    Args:
        variant: `Merged` (a model of its own) or `Adapter` (served with its base).
        model_uri: the prefix of the folder that is served, without a slash at the end.
    """
    workflow, settings = scope.workflow, scope.workflow.settings.register_model
    request = {
        "ModelPackageGroupName": settings.package_group,
        "ModelPackageDescription": f"{workflow.settings.pipeline_name}: DPO {variant.lower()} model",
        "ModelApprovalStatus": scope.parameter["ModelApprovalStatus"],
        "InferenceSpecification": {
            "Containers": [
                {
                    "Image": workflow.account.images.inference,
                    "ModelDataSource": {
                        "S3DataSource": {
                            "S3Uri": Join(on="", values=[model_uri, "/"]),  # a prefix must end in "/"
                            "S3DataType": "S3Prefix",
                            "CompressionType": "None",
                        }
                    },
                    "Environment": _environment(scope, variant, champion, gate),
                }
            ],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
            "SupportedRealtimeInferenceInstanceTypes": list(settings.inference_instance_types),
        },
        "ModelMetrics": {
            "ModelQuality": {"Statistics": _json_file(output_uri(gate, "decision"), "evaluation.json")},
            "ModelDataQuality": {"Statistics": _json_file(output_uri(preprocess, "report"), "report.json")},
        },
        "ModelCard": {
            "ModelCardContent": _get(gate, "card", "content"),
            "ModelCardStatus": "PendingReview",
        },
        "CustomerMetadataProperties": {
            "variant": variant.lower(),
            "adapter_uri": Join(on="", values=[gate_step.adapter_uri(gate), "/"]),
            "base_model": _base(scope, champion),
            "code_version": workflow.code_version,
            "data_hash": _get(preprocess, "report", "data_hash"),
            "execution_arn": ExecutionVariables.PIPELINE_EXECUTION_ARN,
            "gate": _get(gate, "gate", "summary"),
            "champion": _get(gate, "gate", "champion"),
            "champion_reward_accuracy": _get(gate, "gate", "champion_reward_accuracy"),
            "reward_accuracy": _text(_get(gate, "gate", "reward_accuracy")),
        },
    }
    return RequestStep(
        f"Register{variant}",
        StepTypeEnum.REGISTER_MODEL,
        request,
        display_name=f"Register {variant.lower()}",
        description=f"Register the {variant.lower()} model in {settings.package_group}.",
    )


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
    """Whether tool calls come parsed, and how long a conversation may be. `auto` goes by the recipe's model: an
    execution that names one of another family in ModelId is registered with the recipe's parser."""
    settings, recipe = workflow.settings.register_model, workflow.recipe
    parser = settings.tool_call_parser
    if parser == "auto":
        parser = tool_call_parser(recipe.base_model_name or recipe.model_id) or "none"
    found: dict[str, str] = {}
    if parser != "none":
        found |= {"OPTION_ENABLE_AUTO_TOOL_CHOICE": "true", "OPTION_TOOL_CALL_PARSER": parser}
    if settings.max_model_len is not None:
        found["OPTION_MAX_MODEL_LEN"] = str(settings.max_model_len)
    return found


def _json_file(folder: object, name: str) -> dict[str, Any]:
    return {"ContentType": "application/json", "S3Uri": Join(on="/", values=[folder, name])}


def _get(step: RequestStep, property_file: str, path: str) -> JsonGet:
    return JsonGet(step_name=step.name, property_file=property_file, json_path=path)


def _text(number: JsonGet) -> Join:
    """A number of a property file where the request wants text."""
    return Join(on="", values=[number])
