"""Definition of the champion's lookup, the small job that comes first. Never cached: an approval changes it, and so do
new files of the data and a revision of the base that moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sagemaker.core.workflow.functions import JsonGet

from pipeline.step_kit.processing_job import Instances, ProcessingJob, module
from steps.shared.secrets import HUB

if TYPE_CHECKING:
    from pipeline.step_kit.request_step import RequestStep
    from pipeline.step_kit.scope import Scope

OUTPUT = "/opt/ml/processing/output/champion"
DATA = ("InputDataUri", "ValidationDataUri")
ORIGINS = ("ModelId", "ModelUri", "InitialAdapterUri", "ContinueFromChampion")


def build(scope: Scope) -> RequestStep:
    """Reads the model registry and lists the data's objects; outputs `champion` (property file `champion`).

    Without a champion the recipe's prefix stands for its adapter: it has an object, and its name is its content's hash,
    so that Train still finds its cached result. It also makes one word of what training starts from, since a definition
    itself can only join texts, and a URI within a URI is no place for checkpoints. And it says which commit a hub
    model's revision is, here and not at `upsert`: executions that a schedule or Studio starts have one commit too, and
    the same settings give the same definition.
    """
    workflow, gate = scope.workflow, scope.workflow.settings.gate
    job = ProcessingJob(
        role="champion",
        command=module("steps.champion"),
        arguments=[
            "--group", workflow.settings.register_model.package_group,
            "--placeholder", workflow.recipe_uri,
            *_given(scope, "--data", DATA),
            *_beside(scope),
            *_given(scope, "--model", ("ModelId",)),
            *_given(scope, "--revision", ("ModelRevision",)),
            *_given(scope, "--origin", ORIGINS),
            "--output", OUTPUT,
        ],
        outputs={"champion": OUTPUT},
        property_files={"champion": ("champion", "champion.json")},
        instances=Instances(gate.instance_type, max_runtime_hours=gate.max_runtime_hours),
        secrets=HUB if "ModelId" in scope.parameter else (),
        isolated=False,  # it asks the registry, and reads no data
    )  # fmt: skip
    description = "Find the newest approved version, to compare with, and what data there is."
    return job.step(scope, "Champion", description, cached=False)


def _given(scope: Scope, option: str, names: Sequence[str]) -> list[Any]:
    """The option with each of these parameters that the workflow has."""
    return [word for name in names if name in scope.parameter for word in (option, scope.parameter[name])]


def _beside(scope: Scope) -> list[str]:
    """What Collect reads is data too, where the workflow has that step, and so are prompts of Candidates and the canary
    set."""
    workflow = scope.workflow
    places = [workflow.captures_uri, workflow.feedback_uri] if workflow.settings.collect else []
    places += [uri for uri in (workflow.prompts_uri, workflow.canary_uri) if uri]
    return [word for uri in places for word in ("--data", uri)]


def base_commit(champion: RequestStep) -> JsonGet:
    """The commit of a base from the hub that every job of the execution loads."""
    return fact(champion, "model_commit")


def fact(champion: RequestStep, key: str) -> JsonGet:
    """A fact of champion.json."""
    return JsonGet(step_name=champion.name, property_file="champion", json_path=key)
