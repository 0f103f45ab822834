"""Definition of the champion's lookup, the small job that comes first. Never cached: an approval changes it, and so do
new files of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sagemaker.core.workflow.functions import JsonGet

from pipeline.step_kit.processing_job import Instances, ProcessingJob, module

if TYPE_CHECKING:
    from pipeline.step_kit.request_step import RequestStep
    from pipeline.step_kit.scope import Scope

OUTPUT = "/opt/ml/processing/output/champion"
DATA = ("InputDataUri", "ValidationDataUri")


def build(scope: Scope) -> RequestStep:
    """Reads the model registry and lists the data's objects; outputs `champion` (property file `champion`).

    Without a champion the recipe's prefix stands for its adapter: it has an object, and its name is its content's hash,
    so that Train still finds its cached result.
    """
    workflow = scope.workflow
    job = ProcessingJob(
        command=module("steps.champion"),
        arguments=[
            "--group", workflow.settings.register_model.package_group,
            "--placeholder", workflow.recipe_uri,
            *(word for name in DATA if name in scope.parameter for word in ("--data", scope.parameter[name])),
            "--output", OUTPUT,
        ],
        outputs={"champion": OUTPUT},
        property_files={"champion": ("champion", "champion.json")},
        instances=Instances(workflow.settings.gate.instance_type),
        isolated=False,  # it asks the registry, and reads no data
    )  # fmt: skip
    description = "Find the newest approved version, to compare with, and what data there is."
    return job.step(scope, "Champion", description, cached=False)


def fact(champion: RequestStep, key: str) -> JsonGet:
    """A fact of champion.json."""
    return JsonGet(step_name=champion.name, property_file="champion", json_path=key)
