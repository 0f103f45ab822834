"""upsert and delete: bring the pipeline on AWS to what the settings say, or take it away."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from pipeline.aws import executions, pipelines, uploads
from pipeline.aws.errors import described
from pipeline.aws.refused_members import explained
from pipeline.commands.shared.confirm import Yes, confirm
from pipeline.commands.shared.on_aws import Remote, remote
from pipeline.commands.shared.options import DEFAULT_SETTINGS, AsJson, Settings, print_json, stderr, where
from pipeline.definition.diff import Change, counted
from pipeline.errors import UserError, problems_error
from pipeline.preflight import inputs
from pipeline.preflight.recipe import initial_adapter_problems
from pipeline.settings.assets import Asset
from pipeline.settings.workflow import Workflow
from pipeline.step_kit import network_and_keys
from pipeline.versions import registry
from pipeline.watching import pulse

STYLES = {"+": "green", "-": "red", "@": "cyan"}


def upsert(settings: Settings = DEFAULT_SETTINGS, yes: Yes = False, as_json: AsJson = False) -> None:
    """Check the definition, show what would change, and create or update the pipeline on AWS with all it needs.

    A pipeline that is deployed already is changed only after a yes, or with --yes.
    """
    options = where(False, settings)
    with remote("upsert", settings, changes=True) as there:
        workflow = there.workflow
        wanted = pipelines.wanted(workflow, _checked(workflow, settings, options))
        deployed = pipelines.find(there.sagemaker, there.name)
        changes = pipelines.changes(deployed, wanted) if deployed else []
        if changes:
            _show(changes)
            confirm(f"Change pipeline {there.name} ({counted(changes)})?", yes, f"python pipeline.py upsert{options}")
        upload(there, workflow.assets)
        group = workflow.settings.register_model.package_group
        pipelines.ensure_model_group(there.sagemaker, group, workflow.tags)
        with explained(wanted.definition, f"python pipeline.py upsert{options}"):
            if deployed is None:
                pipelines.create(there.sagemaker, there.client("s3"), wanted)
            elif changes:
                pipelines.update(there.sagemaker, there.client("s3"), deployed, wanted)
    outcome = "created" if deployed is None else "updated" if changes else "unchanged"
    if as_json:
        found = [dataclasses.asdict(change) for change in changes]
        print_json({"pipeline": there.name, "outcome": outcome, "changes": found})
    else:
        print(f"pipeline {there.name} {outcome}; start it: python pipeline.py start{options}")


def delete(settings: Settings = DEFAULT_SETTINGS, yes: Yes = False, as_json: AsJson = False) -> None:
    """Delete the pipeline on AWS and the list of its executions; versions, data and models stay."""
    options = where(False, settings)
    with remote("delete", settings, changes=True) as there:
        workflow = there.workflow
        there.sagemaker.describe_pipeline(PipelineName=there.name)
        _require_rest(there, options)
        group = workflow.settings.register_model.package_group
        versions = len(described(lambda: registry.list_models(there.sagemaker, group)) or [])
        remains: dict[str, str | int] = {
            "model_package_group": group,
            "versions": versions,
            "data": f"s3://{workflow.account.bucket}/{workflow.account.prefix}/",
        }
        confirm(
            f"Delete pipeline {there.name} and the list of its executions? ({_remaining(remains)})",
            yes,
            f"python pipeline.py delete{options}",
        )
        pipelines.delete(there.sagemaker, there.name)
    if as_json:
        print_json({"pipeline": there.name, "deleted": True, "remains": remains})
    else:
        print(f"deleted pipeline {there.name}; {_remaining(remains)}; again: python pipeline.py upsert{options}")


def upload(there: Remote, assets: Sequence[Asset]) -> None:
    """Make what is made on the spot, and bring it all to the bucket."""
    for asset in assets:
        if asset.module:
            with pulse.working(stderr, f"making {asset.path}", redraw=False):
                inputs.make(asset)
    encryption = network_and_keys.upload(there.workflow.account.security)
    with pulse.working(stderr, f"uploading to s3://{there.workflow.account.bucket}") as far:
        uploads.upload_assets(there.client("s3"), assets, encryption, far)


def _checked(workflow: Workflow, settings: Path, options: str) -> str:
    """The rendered definition.

    Raises:
        UserError: it has problems; all of them are named.
    """
    from pipeline.checks.api_model import check_definition
    from pipeline.definition.render import render

    with pulse.working(stderr, "building the definition"):
        definition = render(workflow)
    adapter = [f"train.initial_adapter: {text}" for text in initial_adapter_problems(workflow, {}, workflow.assets)]
    if problems := [*adapter, *check_definition(json.loads(definition))]:
        raise problems_error(str(settings), problems, f"Fix them, then: python pipeline.py upsert{options}")
    return definition


def _require_rest(there: Remote, options: str) -> None:
    """
    Raises:
        UserError: an execution runs, and AWS deletes no pipeline under it.
    """
    newest = executions.list_executions(there.sagemaker, there.name)
    running = [found.id for found in newest if found.status in executions.RUNNING]
    if running:
        raise UserError(
            f"pipeline {there.name} cannot be deleted while execution {', '.join(running)} runs; wait for it, or stop "
            f"it: python pipeline.py stop{options} {running[0]}"
        )


def _remaining(remains: dict[str, str | int]) -> str:
    return (
        f"{remains['versions']} registered version(s) of {remains['model_package_group']}, what lies under "
        f"{remains['data']}, logs and schedules remain"
    )


def _show(changes: Sequence[Change]) -> None:
    for change in changes:
        stderr.print(Text(f"{change.name}: {change.kind}", style="bold"), soft_wrap=True)
        for line in change.lines:
            stderr.print(Text(line, style=STYLES.get(line[:1], "")), soft_wrap=True)
    stderr.print(Text(counted(changes), style="bold"), soft_wrap=True)
