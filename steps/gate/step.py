"""Definition of the quality gate: a small job, because a Training step cannot emit a property file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sagemaker.core.workflow.functions import Join

from pipeline.step_kit.processing_job import Instances, ProcessingJob, module, output_uri
from steps.champion import step as champion_step
from steps.shared.serving import ADAPTER_FOLDER

if TYPE_CHECKING:
    from pipeline.settings.schema import Gate, WorkflowFile
    from pipeline.step_kit.request_step import RequestStep
    from pipeline.step_kit.scope import Scope

INPUT = "/opt/ml/processing/input/adapter"
OUTPUT = "/opt/ml/processing/output"
# Settings that are options of the command under their own names.
BESIDE = (
    "threshold_on", "max_chosen_drop", "max_served_drift", "max_degenerate_share", "judge", "judge_max_pairs",
    "judge_max_tokens",
)  # fmt: skip


def build(scope: Scope, train: RequestStep, champion: RequestStep) -> RequestStep:
    """Reads the trained adapter; outputs `decision` (property files `gate` and `card`) and `serving`, which holds the
    verified adapter where an endpoint looks for it."""
    settings = scope.workflow.settings.gate
    job = ProcessingJob(
        role="gate",
        command=module("steps.gate"),
        arguments=[
            "--adapter", INPUT,
            "--output", OUTPUT,
            "--threshold", scope.parameter["RewardAccuracyThreshold"].to_string(),
            "--pipeline", scope.workflow.settings.pipeline_name,
            "--champion-tolerance", scope.parameter["ChampionTolerance"].to_string(),
            "--min-validation-rows", scope.parameter["MinValidationRows"].to_string(),
            "--champion-lookup", champion_step.fact(champion, "reason"),
            *_rules_beside(settings),
            *_of_some_workflows(scope.workflow.settings),
        ],
        inputs={"adapter": train.properties.ModelArtifacts.S3ModelArtifacts},
        outputs={name: f"{OUTPUT}/{name}" for name in ("decision", "serving")},
        property_files={"gate": ("decision", "gate.json"), "card": ("decision", "card.json")},
        instances=Instances(settings.instance_type, max_runtime_hours=settings.max_runtime_hours),
    )  # fmt: skip
    description = "Verify that training finished whole, and judge the held-out figures by the gate's rules."
    return job.step(scope, "Gate", description)


def _rules_beside(settings: Gate) -> list[str]:
    """What is left at its default does not stand in the command."""
    given = {name: (getattr(settings, name), type(settings).model_fields[name].default) for name in BESIDE}
    changed = {name: value for name, (value, default) in given.items() if value != default}
    return [word for name, value in changed.items() for word in (f"--{name.replace('_', '-')}", _word(value))]


def _of_some_workflows(settings: WorkflowFile) -> list[str]:
    """The rule on feedback, in workflows that collect some, and those on a canary set where there is one."""
    most, least = settings.gate.max_reversed_share, settings.gate.canary_threshold
    words = [] if settings.collect is None or most is None else ["--max-reversed-share", f"{most:g}"]
    return words + (["--canary-threshold", f"{least:g}"] if settings.preprocess.canary else [])


def _word(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def serving_uri(gate: RequestStep) -> object:
    """The folder that an adapter version is served from, without a slash at the end."""
    return output_uri(gate, "serving")


def adapter_uri(gate: RequestStep) -> object:
    """Where the verified adapter lies in it, without a slash at the end."""
    return Join(on="/", values=[serving_uri(gate), ADAPTER_FOLDER])
