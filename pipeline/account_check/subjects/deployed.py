"""What an upsert would change in the pipeline that is deployed. Changes are no problem: they are notes."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pipeline.account_check.context import Context, Look
from pipeline.account_check.finding import Finding, note
from pipeline.aws import pipelines
from pipeline.definition.diff import counted

ACTIONS = ("sagemaker:DescribePipeline", "sagemaker:ListTags")


def looks(context: Context) -> Iterator[Look]:
    yield Look(context.place("workflow", "pipeline_name"), ACTIONS, lambda: _deployed(context))


def _deployed(context: Context) -> Iterator[Finding]:
    name, upsert = context.workflow.settings.pipeline_name, context.command("upsert")
    deployed = pipelines.find(context.client("sagemaker"), name)
    if deployed is None:
        yield note(f"the pipeline {name} is not deployed yet; deploy it: {upsert}")
        return
    changes = pipelines.changes(deployed, pipelines.wanted(context.workflow, json.dumps(context.definition)))
    if changes:
        yield note(f"an upsert would change {counted(changes)}; see it and decide: {upsert}")
