"""Definition of the Preprocess step: raw preference data in, train and validation Parquet and a report out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipeline.settings.schema import Preprocess
from pipeline.step_kit.processing_job import Instances, ProcessingJob, module
from steps.champion import step as champion_step

if TYPE_CHECKING:
    from pipeline.step_kit.request_step import RequestStep
    from pipeline.step_kit.scope import Scope

INPUT = "/opt/ml/processing/input"
OUTPUT = "/opt/ml/processing/output"
# The Spark image's own command starts the cluster; the path is relative to the image's working directory.
ON_SPARK = [*module("steps.preprocess.submit"), "smspark-submit", "steps/preprocess/on_spark.py"]


def build(scope: Scope, champion: RequestStep, pairs: Mapping[str, Any]) -> RequestStep:
    """Reads `InputDataUri`; outputs `train`, `validation`, `quarantine` and `report` (also a property file).

    The state of the data's objects stands in its environment, and so in its cache key: of a prefix that got new files
    the key would otherwise be the same, and the result would be the old one.

    Args:
        pairs: input -> the URI of pairs that a step before has made, which it reads too: `feedback_data`, Collect's,
            and `candidate_data`, those of Candidates.
    """
    workflow, parameter = scope.workflow, scope.parameter
    settings = workflow.settings.preprocess
    on_spark = settings.engine == "spark"
    inputs = {
        "data": parameter["InputDataUri"],
        "validation_data": parameter.get("ValidationDataUri"),
        "tokenizer": workflow.tokenizer_uri,
        "baseline": workflow.baseline_uri,
        **pairs,
        "canary": workflow.canary_uri,
    }
    inputs = {name: uri for name, uri in inputs.items() if uri is not None}
    job = ProcessingJob(
        role="preprocess",
        command=ON_SPARK if on_spark else module("steps.preprocess"),
        arguments=_arguments(settings, inputs, parameter, workflow.recipe.chat_template_kwargs),
        inputs=inputs,
        outputs={name: f"{OUTPUT}/{name}" for name in ("train", "validation", "quarantine", "report")},
        property_files={"report": ("report", "report.json")},
        instances=Instances(
            settings.instance_type, settings.volume_gb, settings.max_runtime_hours, settings.instance_count
        ),
        image=workflow.account.images.spark if on_spark else None,
        environment={"DATA_STATE": champion_step.fact(champion, "data_state")},
    )
    return job.step(scope, "Preprocess", "Validate, convert, deduplicate and split the preference data.")


def _arguments(
    settings: Preprocess, inputs: Mapping[str, Any], parameter: Mapping[str, Any], template_kwargs: Mapping[str, Any]
) -> list[Any]:
    """The command line of `steps/preprocess/options.py`; what is left at its default does not stand in it.

    Args:
        template_kwargs: the recipe's `chat_template_kwargs`, for the tokenizer that counts and for rows that have some.
    """
    words: list[Any] = ["--input", f"{INPUT}/data", "--output", OUTPUT]
    if "ValidationFraction" in parameter:
        words += ["--validation-fraction", parameter["ValidationFraction"].to_string()]
    words += ["--min-validation-rows", parameter["MinValidationRows"].to_string()]
    words += ["--max-invalid-fraction", parameter["MaxInvalidFraction"].to_string()]
    if settings.format is not None:
        words += ["--format", settings.format]
    for name, column in settings.columns.model_dump(exclude_none=True).items():
        words += ["--column", f"{name}={column}"]
    for name in settings.ignore_fields:
        words += ["--ignore-field", name]
    if settings.tool_calls != "quarantine":
        words += ["--tool-calls", settings.tool_calls]
    words += [f"--{name.replace('_', '-')}" for name in ("merge_turns", "strip_prompt") if getattr(settings, name)]
    if settings.pairs != "best_worst":
        words += ["--pairs", settings.pairs]
    for option in ("min_score_difference", "max_pairs", "near_duplicates", "max_tokens", "max_characters"):
        value = getattr(settings, option)
        if value is not None:
            words += [f"--{option.replace('_', '-')}", f"{value}"]
    for name in ("tokenizer", "validation_data", "baseline", "feedback_data", "candidate_data", "canary"):
        if name in inputs:
            words += [f"--{name.replace('_', '-')}", f"{INPUT}/{name}"]
    if template_kwargs:
        words += ["--chat-template-kwargs", json.dumps(template_kwargs, sort_keys=True)]
    return words
