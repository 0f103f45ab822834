"""start: run the pipeline that is deployed on AWS, or the settings' own on this machine."""

from __future__ import annotations

import json
import os
import shlex
import uuid
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.aws import executions as aws_executions
from pipeline.aws.errors import advice_on
from pipeline.aws.executions import ExecutionSummary
from pipeline.commands.shared.after_failure import next_commands
from pipeline.commands.shared.before_start import require_deployed, require_inputs
from pipeline.commands.shared.cost import MaxCost, PricesFile, prices_of, require_below, sentence
from pipeline.commands.shared.forgotten_local import Here
from pipeline.commands.shared.model_registry import AwsRegistry
from pipeline.commands.shared.on_aws import Remote, remote
from pipeline.commands.shared.options import (
    DEFAULT_SETTINGS,
    LOCAL_ROOT,
    AsJson,
    Local,
    LocalRoot,
    Settings,
    page_of,
    print_json,
    say,
    stderr,
    where,
)
from pipeline.commands.shared.place_here import PlaceHere
from pipeline.commands.shared.place_on_aws import PlaceOnAws
from pipeline.commands.upsert import upload
from pipeline.errors import UserError, problems_error
from pipeline.files import ROOT
from pipeline.local.state import conversations, summaries
from pipeline.parameters.declared import range_problems
from pipeline.parameters.values import parse_assignments, resolve_parameters
from pipeline.preflight import costs, inputs
from pipeline.settings import workflow as workflow_settings
from pipeline.settings.assets import Asset
from pipeline.settings.workflow import Workflow
from pipeline.versions.registry import Options
from pipeline.watching import pulse

if TYPE_CHECKING:
    from pipeline.local.state.records import EngineName

Assignments = Annotated[
    list[str], typer.Option("--set", metavar="Name=Value", help="Set a parameter; can be repeated.")
]
Wait = Annotated[
    bool,
    typer.Option("--wait", help="Watch steps, metrics and logs until it has ended; the exit code says how it ended."),
]
Name = Annotated[str | None, typer.Option("--name", help="Display name of the execution.", show_default=False)]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        help="32 to 128 characters; the same token again returns the same execution.",
        show_default=False,
    ),
]


Deployed = Annotated[
    bool, typer.Option("--deployed", help="On AWS: run what is deployed, also where the settings have changed since.")
]


class EngineChoice(StrEnum):
    """What runs a local execution's jobs."""

    processes = "processes"
    docker_engine = "docker"


Engine = Annotated[EngineChoice, typer.Option("--engine", help="With --local: what runs the jobs.")]


def start(
    assignments: Assignments = [],  # noqa: B006 (typer reads the default and never changes it)
    wait: Wait = False,
    name: Name = None,
    token: Token = None,
    max_cost: MaxCost = None,
    prices: PricesFile = None,
    deployed: Deployed = False,
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    engine: Engine = EngineChoice.processes,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """Start an execution, on AWS or with --local on this machine."""
    overrides = parse_assignments(assignments)
    options = where(local, settings, local_root)
    if name is not None:
        aws_executions.check_display_name(name)
    if token is not None:
        aws_executions.check_token(token)
    if local:
        if token is not None or max_cost is not None or prices is not None:
            raise UserError("--token, --max-cost and --prices are for AWS; a local run costs nothing, leave them out")
        if deployed:
            raise UserError("--deployed is for AWS; a local run takes the settings as they are, leave it out")
        code = _start_local(settings, overrides, name, local_root, engine.value, wait, as_json, options)
    elif engine is not EngineChoice.processes:
        raise UserError("--engine belongs to --local; add --local, or leave it out")
    else:
        request = _Request(overrides, name, token, max_cost, prices, wait, deployed)
        code = _start_on_aws(settings, request, as_json, options, local_root)
    raise typer.Exit(code)


def _start_local(
    settings: Path,
    overrides: dict[str, str],
    name: str | None,
    local_root: Path,
    engine: EngineName,
    wait: bool,
    as_json: bool,
    options: str,
) -> int:
    from pipeline.definition.kept import rendered
    from pipeline.local import run
    from pipeline.local.executor import create_execution
    from pipeline.local.jobs import docker_engine
    from pipeline.local.plan.order import build_plan
    from pipeline.local.state.store import Store

    with pulse.working(stderr, f"reading {settings} and building the definition"):
        workflow = workflow_settings.load(settings)
        definition = json.loads(rendered(workflow))
        overrides, assets = checked(workflow, definition, overrides)
    values = resolve_parameters(definition, overrides)
    plan = build_plan(definition, values)  # what cannot run here is said before anything is copied
    if engine == "docker":
        docker_engine.require(plan, ROOT, f"python pipeline.py start{options} --engine docker")
    root = _root_in_use(local_root)
    store = Store(root)
    if workflow.settings.collect:
        conversations.link(root, workflow.settings.pipeline_name, workflow.captures_uri, workflow.feedback_uri)
    inputs.provide(assets, store.exists, store.upload, partial(pulse.working, stderr, redraw=False))
    for asset in assets:
        store.note_origin(asset.uri, asset.path)
    execution = create_execution(root, workflow.settings.pipeline_name, definition, values, name, engine)
    if not wait:
        run.start_detached(root, execution.id)
        if as_json:
            print_json(summaries.summary(execution))
        else:
            print(
                f"execution {execution.id} started; watch it: python pipeline.py status{options} {execution.id} --wait"
            )
        return 0
    execution = PlaceHere(root, settings, options).run(execution.id, as_json)
    return aws_executions.exit_code(execution.status)


def _root_in_use(root: Path) -> Path:
    """The folder of the local state, made when it is not there.

    Raises:
        UserError: it cannot be written to.
    """
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)  # it quotes the data
    except OSError as error:
        raise UserError(f"--local-root {root}: cannot be made: {error.strerror}") from None
    if not os.access(root, os.W_OK):
        raise UserError(f"--local-root {root}: cannot be written to")
    return root.resolve()


@dataclass(frozen=True)
class _Request:
    """What a start on AWS was asked for."""

    overrides: dict[str, str]
    name: str | None
    token: str | None
    max_cost: float | None
    prices: Path | None
    wait: bool
    deployed: bool

    @property
    def words_here(self) -> str:
        """The options again that a start on this machine takes too."""
        return replace(self, token=None, max_cost=None, prices=None, deployed=False).words

    @property
    def words(self) -> str:
        """The options again, for a command to repeat."""
        limit = None if self.max_cost is None else f"{self.max_cost:g}"
        given = [
            *(("--set", f"{name}={value}") for name, value in self.overrides.items()),
            *(("--name", self.name), ("--max-cost", limit), ("--prices", self.prices), ("--token", self.token)),
        ]
        words = "".join(f" {option} {shlex.quote(str(value))}" for option, value in given if value is not None)
        return words + (" --wait" if self.wait else "") + (" --deployed" if self.deployed else "")


def _start_on_aws(settings: Path, request: _Request, as_json: bool, options: str, local_root: Path) -> int:
    # An error may hide that AWS did start: the command to run again carries the token, and starts no second execution.
    token = request.token or uuid.uuid4().hex
    here = Here(f"start{request.words_here}", local_root)
    with remote(f"start{replace(request, token=token).words}", settings, changes=True, here=here) as there:
        command = f"python pipeline.py start{request.words}{options}"
        deployed = json.loads(there.sagemaker.describe_pipeline(PipelineName=there.name)["PipelineDefinition"])
        if not request.deployed:
            require_deployed(there, deployed, command)
        overrides, assets = checked(there.workflow, deployed, request.overrides)
        _require_affordable(there.workflow, deployed, request, command)
        require_inputs(there, deployed, overrides, assets)
        upload(there, assets)
        arn = aws_executions.start(there.sagemaker, there.name, overrides, request.name, token)
        execution_id = aws_executions.id_of(arn)
        say(f"execution {execution_id} started")
        ended, further = ExecutionSummary(execution_id, arn, there.name, "Executing", name=request.name), list[str]()
        if request.wait:
            place = PlaceOnAws(there)
            ended = place.watch(arn)
            further = [f"as a page: {page_of(ended.id, options)}"]
            if ended.status == "Succeeded":
                _link(there, ended.arn, options, local_root)
            else:
                further += next_commands(ended, place.status(arn)[1], options)
    if as_json:
        print_json(ended)
    elif request.wait:
        print("\n".join([_ending(ended), *further]))
    else:
        print(f"watch it: python pipeline.py status{options} {execution_id} --wait")
    return aws_executions.exit_code(ended.status) if request.wait else 0


def _link(there: Remote, execution_arn: str, options: str, local_root: Path) -> None:
    """Tell MLflow of the version that was registered; that it cannot be told fails nothing."""
    if not there.workflow.recipe.mlflow_uri:
        return
    group = there.workflow.settings.register_model.package_group
    try:
        with pulse.working(stderr, "telling MLflow of the version"):
            said = AwsRegistry(there, local_root, group, Options(options)).link_of_execution(execution_arn)
    except UserError as error:
        said = [f"mlflow: not told of the version: {error}"]
    for line in said:
        say(line)


def _ending(ended: ExecutionSummary) -> str:
    reason = f": {ended.failure_reason}{advice_on(ended.failure_reason)}" if ended.failure_reason else ""
    return f"execution {ended.id} {ended.status}{reason}"


def _require_affordable(workflow: Workflow, definition: dict[str, Any], request: _Request, command: str) -> None:
    """Say what the execution may cost where prices are known, and refuse what is above the limit."""
    prices = prices_of(workflow, request.prices)
    if prices is None and request.max_cost is None:
        return
    usage = costs.usage(definition, resolve_parameters(definition, request.overrides), prices)
    if request.max_cost is not None:
        require_below(usage, request.max_cost, command)
    say(sentence(usage))


def checked(
    workflow: Workflow, definition: dict[str, Any], overrides: dict[str, str]
) -> tuple[dict[str, str], list[Asset]]:
    """The overrides as the definition takes them, and the assets to provide.

    Raises:
        UserError: unknown names, values out of type, enum or range, or too long for a place that they reach.
    """
    from pipeline.checks.api_model import values_problems

    resolve_parameters(definition, overrides)
    if problems := range_problems(workflow, overrides):
        raise problems_error("parameters", problems, "Fix them with --set Name=Value.")
    resolved, assets = inputs.resolve_inputs(workflow, overrides)
    if problems := values_problems(definition, resolved):
        raise problems_error("parameters", problems, "Fix them with --set Name=Value.")
    return resolved, assets
