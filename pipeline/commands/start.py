"""upsert and start: deploy the definition, and run it on AWS or on this machine."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from pipeline import executions as aws_executions
from pipeline import inputs, security
from pipeline import settings as workflow_settings
from pipeline.assets import Asset
from pipeline.commands.options import (
    DEFAULT_SETTINGS,
    LOCAL_ROOT,
    AsJson,
    Local,
    LocalRoot,
    Settings,
    print_json,
    stderr,
    where,
)
from pipeline.commands.remote import Remote, remote
from pipeline.errors import UserError, problems_error
from pipeline.executions import ExecutionSummary, StepSummary
from pipeline.parameter_values import parse_assignments, resolve_parameters
from pipeline.parameters import range_problems
from pipeline.preflight import initial_adapter_problems
from pipeline.settings import ROOT, Workflow

if TYPE_CHECKING:
    from pipeline.local.engines import EngineName

Assignments = Annotated[
    list[str], typer.Option("--set", metavar="Name=Value", help="Set a pipeline parameter; may stand several times.")
]


class EngineChoice(StrEnum):
    """What runs a local execution's jobs."""

    processes = "processes"
    docker = "docker"


Engine = Annotated[EngineChoice, typer.Option("--engine", help="With --local: what runs the jobs.")]
Wait = Annotated[bool, typer.Option("--wait", help="Watch until it has ended; the exit code tells how.")]


def upsert(settings: Settings = DEFAULT_SETTINGS, as_json: AsJson = False) -> None:
    """Check the definition, upload recipe, data and model, and create or update the pipeline on AWS."""
    from pipeline.checks.api_model import check_definition
    from pipeline.rendering import render

    options = where(False, settings)
    with remote("upsert", settings, changes=True) as there:
        workflow = there.workflow
        definition = render(workflow)
        adapter = [f"train.initial_adapter: {text}" for text in initial_adapter_problems(workflow, {}, workflow.assets)]
        if problems := [*adapter, *check_definition(json.loads(definition))]:
            raise problems_error(str(settings), problems, f"Mend them, then: python pipeline.py upsert{options}")
        _upload(there, workflow.assets)
        aws_executions.ensure_model_group(there.sagemaker, workflow.settings.register_model.package_group)
        outcome = aws_executions.upsert(
            there.sagemaker,
            definition,
            there.name,
            workflow.account.role_arn,
            description=workflow.settings.description or None,
        )
    if as_json:
        print_json({"pipeline": there.name, "outcome": outcome})
    else:
        print(f"pipeline {there.name} {outcome}; start it: python pipeline.py start{options}")


def start(
    assignments: Assignments = [],  # noqa: B006 (typer reads the default and never changes it)
    wait: Wait = False,
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    engine: Engine = EngineChoice.processes,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """Start an execution, on AWS or with --local on this machine."""
    overrides = parse_assignments(assignments)
    options = where(local, settings, local_root)
    if local:
        workflow = workflow_settings.load(settings)
        code = _start_local(workflow, overrides, local_root, engine.value, wait, as_json, options)
    elif engine is not EngineChoice.processes:
        raise UserError("--engine belongs to --local; add --local, or leave it out")
    else:
        code = _start_on_aws(settings, overrides, wait, as_json, options)
    raise typer.Exit(code)


def _start_local(
    workflow: Workflow,
    overrides: dict[str, str],
    local_root: Path,
    engine: EngineName,
    wait: bool,
    as_json: bool,
    options: str,
) -> int:
    from pipeline.local import docker, run, runs, summary
    from pipeline.local.executor import create_execution, run_execution
    from pipeline.local.plan import build_plan
    from pipeline.local.progress import watch
    from pipeline.local.store import Store
    from pipeline.rendering import render

    definition = json.loads(render(workflow))
    overrides, assets = _checked(workflow, definition, overrides)
    values = resolve_parameters(definition, overrides)
    plan = build_plan(definition, values)  # what cannot run here is said before anything is copied
    if engine == "docker":
        docker.require(plan, ROOT, f"python pipeline.py start{options} --engine docker")
    root = runs.root_in_use(local_root)
    store = Store(root)
    inputs.provide(assets, store.exists, store.upload)
    execution = create_execution(root, workflow.settings.pipeline_name, definition, values, engine)
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


def _start_on_aws(settings: Path, overrides: dict[str, str], wait: bool, as_json: bool, options: str) -> int:
    with remote("start", settings, changes=True) as there:
        # What is deployed is what will run, whatever the files beside this command say by now.
        deployed = json.loads(there.sagemaker.describe_pipeline(PipelineName=there.name)["PipelineDefinition"])
        overrides, assets = _checked(there.workflow, deployed, overrides)
        _upload(there, assets)
        arn = aws_executions.start(there.sagemaker, there.name, overrides, client_request_token=uuid.uuid4().hex)
        execution_id = arn.rpartition("/")[2]
        stderr.print(f"execution {execution_id} started", highlight=False)
        ended = ExecutionSummary(execution_id, arn, there.name, "Executing")
        if wait:
            ended = aws_executions.wait(there.sagemaker, arn, _print_states)
    if as_json:
        print_json(ended)
    elif not wait:
        print(f"watch it: python pipeline.py status{options} {execution_id}")
    else:
        reason = f": {ended.failure_reason}" if ended.failure_reason else ""
        print(f"execution {execution_id} {ended.status}{reason}")
    return 0 if not wait or ended.status == "Succeeded" else 1


def _checked(
    workflow: Workflow, definition: dict[str, Any], overrides: dict[str, str]
) -> tuple[dict[str, str], list[Asset]]:
    """The overrides as the definition takes them, and the assets to provide.

    Raises:
        UserError: unknown names, values out of type, enum or range, or too long for a place that they reach.
    """
    from pipeline.checks.api_model import values_problems

    resolve_parameters(definition, overrides)
    if problems := range_problems(workflow, overrides):
        raise problems_error("parameters", problems, "Mend them with --set Name=Value.")
    resolved, assets = inputs.resolve_inputs(workflow, overrides)
    if problems := values_problems(definition, resolved):
        raise problems_error("parameters", problems, "Mend them with --set Name=Value.")
    return resolved, assets


def _upload(there: Remote, assets: Sequence[Asset]) -> None:
    for asset in assets:
        if asset.module:
            inputs.make(asset)
    paths, encryption = {asset.uri: asset.path for asset in assets}, security.upload(there.workflow.account.security)
    aws_executions.upload_assets(there.client("s3"), paths, encryption)


def _print_states(execution: ExecutionSummary, steps: list[StepSummary]) -> None:
    table = Table.grid(padding=(0, 2))
    for step in steps:
        table.add_row(step.name, step.type, "cached" if step.cached else step.status, step.failure_reason or "")
    stderr.print(f"[bold]{execution.pipeline} {execution.id} {execution.status}[/bold]")
    stderr.print(table)
