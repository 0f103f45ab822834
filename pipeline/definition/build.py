"""Workflow settings -> pipeline definition. Pure: the same settings give the same bytes, without network or clock.

This module, `pipeline/step_kit` and `steps/*/step.py` are the only ones that import the SageMaker SDK, which as a whole
takes seconds: import them late, by way of `render.py`, which needs a part of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import boto3
from sagemaker.core.workflow.conditions import ConditionEquals
from sagemaker.core.workflow.functions import JsonGet
from sagemaker.core.workflow.parameters import ParameterFloat, ParameterInteger, ParameterString
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.steps import CacheConfig

from pipeline.parameters.declared import Parameter, parameters
from pipeline.settings.workflow import Workflow
from pipeline.step_kit.processing_job import output_uri
from pipeline.step_kit.request_step import RequestStep
from pipeline.step_kit.scope import Scope
from steps.candidates import step as candidates_step
from steps.champion import step as champion_step
from steps.collect import step as collect_step
from steps.gate import step as gate_step
from steps.merge import step as merge_step
from steps.preprocess import step as preprocess_step
from steps.register import step as register_step
from steps.train import step as train_step


def render(workflow: Workflow) -> str:
    """The definition as the JSON text that `upsert` sends and `start --local` runs."""
    declared = [_declare(parameter) for parameter in parameters(workflow)]
    settings = workflow.settings
    cache = CacheConfig(enable_caching=settings.cache.enabled, expire_after=f"P{settings.cache.expire_after_days}D")
    scope = Scope(workflow, {parameter.name: parameter for parameter in declared}, cache)

    champion = champion_step.build(scope)
    collect = collect_step.build(scope, champion, settings.collect) if settings.collect else None
    candidates = candidates_step.build(scope, champion, collect, settings.candidates) if settings.candidates else None
    made = {"feedback_data": collect, "candidate_data": candidates}
    preprocess = preprocess_step.build(
        scope, champion, {name: output_uri(step, "pairs") for name, step in made.items() if step}
    )
    train = train_step.build(scope, preprocess, champion)
    gate = gate_step.build(scope, train, champion)
    pipeline = Pipeline(
        name=settings.pipeline_name,
        parameters=declared,
        # The SDK's own would make an Experiment before the first step, which the jobs' role may not, and nothing reads.
        pipeline_experiment_config=None,
        steps=[
            champion,
            *(step for step in made.values() if step),
            preprocess,
            _unless_no_new_data(scope, preprocess, champion, [train, gate]),
            *_decide(scope, champion, preprocess, gate),
        ],
        sagemaker_session=_Offline(workflow.account.region),
    )
    # Sorted, so that the order in which the SDK fills its dictionaries is not part of the bytes.
    return json.dumps(json.loads(pipeline.definition()), indent=1, sort_keys=True)


def _unless_no_new_data(
    scope: Scope, preprocess: RequestStep, champion: RequestStep, steps: list[RequestStep]
) -> ConditionStep:
    """`steps`, except where the execution asks for new data and has none; it then ends here, as succeeded.

    The two texts are compared as they are, since the service has refused the SDK's ConditionNot
    (aws/sagemaker-python-sdk, issue 2746).
    """
    same = ConditionEquals(
        left=champion_step.fact(champion, "last_registered_data_hash"),
        right=JsonGet(step_name=preprocess.name, property_file="report", json_path="data_hash"),
    )
    return ConditionStep(
        name="NoNewData",
        display_name="No new data?",
        description="True ends the execution: the data is that of the last registered version.",
        conditions=[ConditionEquals(left=scope.parameter["SkipIfNoNewData"], right="true"), same],
        if_steps=[],
        else_steps=steps,
    )


def _decide(scope: Scope, champion: RequestStep, preprocess: RequestStep, gate: RequestStep) -> list[ConditionStep]:
    """What becomes of the model: rejected, merged and registered, or registered as an adapter.

    Side by side and not one inside the other: Pipelines does not support a Condition in a Condition's branch. None of
    them runs where the gate, which they refer to, was not reached.
    """
    passed = ConditionEquals(left=_gate(gate, "decision"), right="pass")
    merge = merge_step.build(scope, gate, champion)
    of_merged = JsonGet(step_name=merge.name, property_file="merged", json_path="manifest_sha256")
    upstream = register_step.Upstream(champion, preprocess, gate)
    merged = register_step.build(scope, register_step.Served("Merged", output_uri(merge, "model"), of_merged), upstream)
    of_adapter = _gate(gate, "manifest_sha256")
    adapter = register_step.build(
        scope, register_step.Served("Adapter", gate_step.serving_uri(gate), of_adapter), upstream
    )
    reject = FailStep(name="RejectModel", display_name="Rejected", error_message=_gate(gate, "message"))

    def wanted(merge_weights: str) -> ConditionEquals:
        return ConditionEquals(left=scope.parameter["MergeWeights"], right=merge_weights)

    return [
        ConditionStep(
            name="CheckGate", display_name="Good enough?", conditions=[passed], if_steps=[], else_steps=[reject]
        ),
        ConditionStep(
            name="ChooseMerged",
            display_name="Merge weights?",
            conditions=[passed, wanted("true")],
            if_steps=[merge, merged],
            else_steps=[],
        ),
        ConditionStep(
            name="ChooseAdapter",
            display_name="Keep the adapter?",
            conditions=[passed, wanted("false")],
            if_steps=[adapter],
            else_steps=[],
        ),
    ]


def _gate(gate: RequestStep, field: str) -> JsonGet:
    return JsonGet(step_name=gate.name, property_file="gate", json_path=field)


def _declare(parameter: Parameter) -> Any:
    if parameter.kind == "Integer":
        return ParameterInteger(parameter.name, parameter.default)
    if parameter.kind == "Float":
        return ParameterFloat(parameter.name, parameter.default)
    return ParameterString(parameter.name, parameter.default, list(parameter.choices) or None)


class _Offline:
    """Stands where the SDK wants a session: a pipeline makes a client of it, and rendering asks it nothing."""

    local_mode = False
    sagemaker_config: Mapping[str, Any] = {}

    def __init__(self, region: str):
        self.boto_region_name = region
        self.boto_session = boto3.Session(region_name=region)
