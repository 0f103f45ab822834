"""Definition of the Merge step: adapter and base in, merged model out, on a CPU instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.step_kit.processing_job import Instances, ProcessingJob, module, output_uri
from steps.champion import step as champion_step
from steps.gate import step as gate_step
from steps.shared.secrets import HUB

if TYPE_CHECKING:
    from pipeline.step_kit.request_step import RequestStep
    from pipeline.step_kit.scope import Scope

INPUT = "/opt/ml/processing/input"
OUTPUT = "/opt/ml/processing/output"


def build(scope: Scope, gate: RequestStep, champion: RequestStep) -> RequestStep:
    """Reads the verified adapter, what it was judged by, and the base (a prefix in S3, or the hub at Train's commit);
    outputs `model`, and `facts` (property file `merged`)."""
    settings, parameter = scope.workflow.settings.merge, scope.parameter
    inputs: dict[str, Any] = {"adapter": gate_step.adapter_uri(gate), "decision": output_uri(gate, "decision")}
    if "ModelUri" in parameter:
        inputs["base"] = parameter["ModelUri"]
        base: list[Any] = ["--base", f"{INPUT}/base"]
    else:
        base = ["--base", parameter["ModelId"], "--revision", champion_step.base_commit(champion)]
    job = ProcessingJob(
        role="merge",
        command=module("steps.merge"),
        arguments=[
            *base,
            "--adapter", f"{INPUT}/adapter",
            "--judged", f"{INPUT}/decision",
            "--output", f"{OUTPUT}/model",
            "--facts", f"{OUTPUT}/facts",
        ],
        inputs=inputs,
        outputs={name: f"{OUTPUT}/{name}" for name in ("model", "facts")},
        property_files={"merged": ("facts", "merged.json")},
        instances=Instances(settings.instance_type, settings.volume_gb, settings.max_runtime_hours),
        secrets=() if "ModelUri" in parameter else HUB,
    )  # fmt: skip
    return job.step(scope, "Merge", "Add the adapter to the base model's weights.")
