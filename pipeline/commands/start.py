"""upsert and start: deploy the definition, and run it on AWS or on this machine."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from pipeline import aws, inputs
from pipeline import executions as aws_executions
from pipeline import settings as workflow_settings
from pipeline.commands.options import (
    LOCAL_ROOT,
    SETTINGS_DEFAULT,
    AsJson,
    Local,
    LocalRoot,
    Settings,
    print_json,
    stderr,
    where,
)
from pipeline.errors import problems_error
from pipeline.executions import ExecutionSummary, StepSummary
from pipeline.parameter_values import parse_assignments, resolve_parameters
from pipeline.parameters import range_problems
from pipeline.settings import Workflow

Assignments = Annotated[
    list[str], typer.Option("--set", metavar="Name=Value", help="Set a pipeline parameter; may stand several times.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Watch until it has ended; the exit code tells how.")]


def upsert(settings: Settings = SETTINGS_DEFAULT, as_json: AsJson = False) -> None:
    """Check the definition, upload recipe, data and model, and create or update the pipeline on AWS."""
    from pipeline.api_model import check_definition
    from pipeline.rendering import render

    workflow = workflow_settings.load(settings)
    definition = render(workflow)
    command = f"python pipeline.py upsert{where(False, settings, LOCAL_ROOT)}"
    if problems := check_definition(json.loads(definition)):
        raise problems_error(str(settings), problems, f"Mend them, then: {command}")
    account = workflow.account
    with aws.translated(command):
        aws.check_account(aws.client("sts", account.region), account.account_id, command)
        sagemaker = aws.client("sagemaker", account.region)
        _upload(workflow, workflow.assets)
        group = workflow.settings.register_model.package_group
        aws_executions.ensure_model_group(sagemaker, group)
        name = workflow.settings.pipeline_name
        outcome = aws_executions.upsert(
            sagemaker, definition, name, account.role_arn, description=workflow.settings.description or None
        )
    if as_json:
        print_json({"pipeline": name, "outcome": outcome})
    else:
        print(f"pipeline {name} {outcome}; start it: python pipeline.py start{where(False, settings, LOCAL_ROOT)}")


def start(
    assignments: Assignments = [],  # noqa: B006 (typer reads the default and never changes it)
    wait: Wait = False,
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    settings: Settings = SETTINGS_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Start an execution, on AWS or with --local on this machine."""
    workflow = workflow_settings.load(settings)
    overrides = parse_assignments(assignments)
    if local:
        code = _start_local(workflow, overrides, local_root, wait, as_json, where(True, settings, local_root))
    else:
        code = _start_on_aws(workflow, overrides, wait, as_json, where(False, settings, local_root))
    raise typer.Exit(code)


def _start_local(
    workflow: Workflow, overrides: dict[str, str], local_root: Path, wait: bool, as_json: bool, options: str
) -> int:
    from pipeline.local import run, runs, summary
    from pipeline.local.executor import create_execution, run_execution
    from pipeline.local.progress import watch
    from pipeline.local.store import Store
    from pipeline.rendering import render

    definition = json.loads(render(workflow))
    overrides, assets = _checked(workflow, definition, overrides)
    root = runs.root_in_use(local_root)
    store = Store(root)
    inputs.provide(assets, store.exists, store.upload)
    values = resolve_parameters(definition, overrides)
    execution = create_execution(root, workflow.settings.pipeline_name, definition, values)
    if not wait:
        run.start_detached(root, execution.id)
        if as_json:
            print_json(runs.summary(execution))
        else:
            print(f"execution {execution.id} started; watch it: python pipeline.py status{options} {execution.id}")
        return 0
    with watch(stderr) as listen:
        execution = run_execution(root, execution.id, listen)
    result = summary.summarise(root, execution)
    if as_json:
        print_json(result)
    else:
        print(summary.text(result))
        if execution.status != "Succeeded":
            stderr.print(
                f"See why: python pipeline.py logs{options} {execution.id}\n"
                f"Mend it and go on: python pipeline.py retry{options} {execution.id}",
                soft_wrap=True,
            )
    return run.exit_code(execution.status)


def _start_on_aws(workflow: Workflow, overrides: dict[str, str], wait: bool, as_json: bool, options: str) -> int:
    account, name = workflow.account, workflow.settings.pipeline_name
    command = f"python pipeline.py start{options}"
    with aws.translated(command):
        aws.check_account(aws.client("sts", account.region), account.account_id, command)
        sagemaker = aws.client("sagemaker", account.region)
        deployed = sagemaker.describe_pipeline(PipelineName=name)["PipelineDefinition"]
        overrides, assets = _checked(workflow, json.loads(deployed), overrides)
        _upload(workflow, assets)
        arn = aws_executions.start(sagemaker, name, overrides, client_request_token=uuid.uuid4().hex)
        execution_id = arn.rpartition("/")[2]
        if not as_json:
            stderr.print(f"execution {execution_id} started", highlight=False)
        if wait:
            ended = aws_executions.wait(sagemaker, arn, _print_states)
        else:
            ended, _ = aws_executions.status(sagemaker, arn)
    if as_json:
        print_json(ended)
    elif not wait:
        print(f"watch it: python pipeline.py status{options} {execution_id}")
    else:
        reason = f": {ended.failure_reason}" if ended.failure_reason else ""
        print(f"execution {execution_id} {ended.status}{reason}")
    return 0 if not wait or ended.status == "Succeeded" else 1


def _checked(
    workflow: Workflow, definition: dict[str, object], overrides: dict[str, str]
) -> tuple[dict[str, str], list[workflow_settings.Asset]]:
    """The overrides as the definition takes them, and the assets to provide.

    Raises:
        UserError: unknown names, values out of type, enum or range, or too long for a place that they reach.
    """
    from pipeline.api_model import values_problems

    resolve_parameters(definition, overrides)
    if problems := range_problems(workflow, overrides):
        raise problems_error("parameters", problems, "Mend them with --set Name=Value.")
    resolved, assets = inputs.resolve_inputs(workflow, overrides)
    if problems := values_problems(definition, resolved):
        raise problems_error("parameters", problems, "Mend them with --set Name=Value.")
    return resolved, assets


def _upload(workflow: Workflow, assets: list[workflow_settings.Asset] | tuple[workflow_settings.Asset, ...]) -> None:
    s3 = aws.client("s3", workflow.account.region)
    for asset in assets:
        if asset.module:
            inputs.make(asset)
    aws_executions.upload_assets(s3, {asset.uri: asset.path for asset in assets})


def _print_states(execution: ExecutionSummary, steps: list[StepSummary]) -> None:
    table = Table.grid(padding=(0, 2))
    for step in steps:
        table.add_row(step.name, step.type, "cached" if step.cached else step.status, step.failure_reason or "")
    stderr.print(f"[bold]{execution.pipeline} {execution.id} {execution.status}[/bold]")
    stderr.print(table)
