"""Definition of the Collect step: captures and feedback in, preference pairs out that Preprocess reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.settings.collect import Collect
from pipeline.step_kit.processing_job import Instances, ProcessingJob, module, spark_application
from steps.champion import step as champion_step

if TYPE_CHECKING:
    from pipeline.step_kit.request_step import RequestStep
    from pipeline.step_kit.scope import Scope

INPUT = "/opt/ml/processing/input"
OUTPUT = "/opt/ml/processing/output"


def build(scope: Scope, champion: RequestStep, settings: Collect) -> RequestStep:
    """Reads the workflow's captures and feedback; outputs `pairs`, `unpaired` and `report` (also a property file).

    The given data is an input where a share of it is asked for. What lies in all of these at this moment stands in the
    environment, and so in the cache key, as for Preprocess.
    """
    workflow = scope.workflow
    inputs: dict[str, Any] = {"captures": workflow.captures_uri, "feedback": workflow.feedback_uri}
    if settings.max_feedback_share < 1:
        inputs["data"] = scope.parameter["InputDataUri"]
    on_spark = settings.engine == "spark"
    job = ProcessingJob(
        role="preprocess",
        command=spark_application("steps/collect/spark/on_spark.py") if on_spark else module("steps.collect"),
        arguments=_arguments(settings, list(inputs)),
        inputs=inputs,
        outputs={name: f"{OUTPUT}/{name}" for name in ("pairs", "unpaired", "report")},
        property_files={"collected": ("report", "report.json")},
        instances=Instances(
            settings.instance_type, settings.volume_gb, settings.max_runtime_hours, settings.instance_count
        ),
        image=workflow.account.images.spark if on_spark else None,
        environment={"DATA_STATE": champion_step.fact(champion, "data_state")},
    )
    return job.step(scope, "Collect", "Make pairs of what endpoints answered and what people said about it.")


def _arguments(settings: Collect, inputs: list[str]) -> list[str]:
    """The command line of `steps/collect/options.py`; what is left at its default does not stand in it."""
    words = [word for name in inputs for word in (f"--{name}", f"{INPUT}/{name}")]
    words += ["--output", OUTPUT]
    if settings.max_feedback_share < 1:
        words += ["--max-feedback-share", f"{settings.max_feedback_share}"]
    if settings.feedback_weight > 1:
        words += ["--feedback-weight", f"{settings.feedback_weight}"]
    if settings.contradictions != "majority":
        words += ["--contradictions", settings.contradictions]
    for name in ("max_age_days", "max_per_person_and_day"):
        value = getattr(settings, name)
        if value is not None:
            words += [f"--{name.replace('_', '-')}", f"{value}"]
    words += [word for name in settings.redact for word in ("--redact", name)]
    return words + [f"--redact-pattern={pattern}" for pattern in settings.redact_patterns]
