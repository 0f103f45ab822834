"""check, definition, show: what would be deployed, without touching AWS."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.shared import check_account, collected, gate_rules
from pipeline.commands.shared.cost import PricesFile, prices_of, sentence, table
from pipeline.commands.shared.options import DEFAULT_SETTINGS, AsJson, Settings, print_json, stdout, where
from pipeline.errors import UserError, problems_error
from pipeline.parameters.values import resolve_parameters
from pipeline.settings import workflow as workflow_settings

if TYPE_CHECKING:
    from pipeline.account_check.subjects.table import Result
    from steps.train.preflight.preflight import Preflight

Recipe = Annotated[
    Path | None, typer.Option("--recipe", help="Check this recipe alone, and what memory it needs.", show_default=False)
]
InstanceType = Annotated[
    str | None, typer.Option("--instance-type", help="With --recipe: where it would run.", show_default=False)
]
InstanceCount = Annotated[int, typer.Option("--instance-count", min=1, help="With --recipe: how many of them.")]
ModelConfig = Annotated[
    Path | None,
    typer.Option("--model-config", help="The model's config.json, or its folder; no weights.", show_default=False),
]
Rows = Annotated[
    int | None, typer.Option("--rows", min=1, help="Training rows, to tell steps and tokens.", show_default=False)
]

Account = Annotated[
    bool, typer.Option("--account", help="Look into the AWS account too: role, bucket, images, quotas, …; reads only.")
]


def check(
    settings: Settings = DEFAULT_SETTINGS,
    recipe: Recipe = None,
    instance_type: InstanceType = None,
    instance_count: InstanceCount = 1,
    model_config: ModelConfig = None,
    rows: Rows = None,
    prices: PricesFile = None,
    account: Account = False,
    as_json: AsJson = False,
) -> None:
    """Check settings, recipe and the rendered definition against the AWS API model; lists all problems at once.

    Where the model's config.json is at hand, a GPU's memory is estimated too; --recipe checks a recipe alone. With
    a table of prices it tells the most that a run may cost. With --account it also looks at what an execution needs
    in the account, and changes nothing there.
    """
    if recipe is not None:
        if settings != DEFAULT_SETTINGS:
            raise UserError("--settings and --recipe: name one of them; a workflow names its recipe itself")
        if instance_count != 1 and instance_type is None:
            raise UserError("--instance-count needs --instance-type: say of which")
        if prices is not None:
            raise UserError("--prices: costs are a workflow's; name it with --settings instead of --recipe")
        if account:
            raise UserError("--account: a recipe needs none; name a workflow with --settings instead of --recipe")
        _check_recipe(recipe, instance_type, instance_count, model_config, rows, as_json)
        return
    if instance_type is not None or instance_count != 1:
        raise UserError(
            "--instance-type and --instance-count belong to --recipe; a workflow names its instances itself"
        )
    workflow, problems = workflow_settings.inspect(settings)
    result, usage, seen = None, None, None
    next_command = f"python pipeline.py check{' --account' if account else ''}{where(False, settings)}"
    next_command += _named(model_config)
    if workflow:
        from pipeline.definition.kept import Kept
        from pipeline.preflight import costs
        from pipeline.preflight import recipe as preflight

        result = preflight.of_workflow(workflow, model_config, rows)
        found = preflight.worded(result.problems, settings.parent / workflow.settings.recipe, named=True)
        kept = Kept(workflow)
        definition, problems = json.loads(kept.definition), [*found, *kept.problems]
        if not problems:
            usage = costs.usage(definition, resolve_parameters(definition, {}), prices_of(workflow, prices))
        if account:
            try:
                seen = check_account.look(workflow, definition, settings, next_command)
            except UserError as refused:  # no credentials: what was found without them is shown all the same
                problems = [*problems, str(refused)]
    rules = gate_rules.of(workflow.settings, workflow.recipe) if workflow else None
    gathered = collected.of(workflow) if workflow else None
    document = {"settings": str(settings), "usage": dataclasses.asdict(usage) if usage else None, "gate": rules}
    document |= {"collect": gathered} if gathered else {}
    if usage and not as_json:
        stdout().print(table(usage))
        print(f"{sentence(usage)}\n" if usage.unpriced else "")
    if rules and not as_json:
        stdout().print(gate_rules.table(rules), "")
    if gathered and not as_json:
        print(collected.text(gathered))
    _conclude(str(settings), document, problems, result, next_command, as_json, seen)


def _check_recipe(
    path: Path,
    instance_type: str | None,
    instance_count: int,
    model_config: Path | None,
    rows: int | None,
    as_json: bool,
) -> None:
    """The preflight of a recipe alone: needs neither account nor workflow, nor the SageMaker SDK."""
    from pipeline.checks.service_model import service, value_problem
    from pipeline.preflight import recipe as preflight
    from steps.shared import typed_yaml
    from steps.train import arguments

    if instance_type and (wrong := value_problem(service().shape_for("TrainingInstanceType"), instance_type)):
        raise UserError(f"--instance-type: {wrong}")
    result, problems = None, []
    try:
        result = preflight.of_recipe(arguments.load(path), instance_type, instance_count, model_config, rows)
    except typed_yaml.InvalidFile as error:
        problems = error.problems
    else:
        problems = preflight.worded(result.problems, path)
    words = f" --instance-type {shlex.quote(instance_type)}" if instance_type else ""
    words += f" --instance-count {instance_count}" if instance_count != 1 else ""
    next_command = f"python pipeline.py check --recipe {shlex.quote(str(path))}{words}{_named(model_config)}"
    _conclude(str(path), {"recipe": str(path)}, problems, result, next_command, as_json)


def _named(model_config: Path | None) -> str:
    return f" --model-config {shlex.quote(str(model_config))}" if model_config else ""


def _conclude(
    name: str,
    document: dict[str, Any],
    problems: list[str],
    result: Preflight | None,
    next_command: str,
    as_json: bool,
    seen: Result | None = None,
) -> None:
    """Print the preflight, then raise the problems or say that there are none.

    Args:
        seen: what was found in the account, and shown already.
    """
    if as_json:
        account = {"account": check_account.as_dict(seen)} if seen else {}
        print_json(document | {"problems": problems, "preflight": result.as_dict() if result else None} | account)
    elif result:
        from pipeline.preflight.table import draw

        stdout().print(draw(result))
    if seen and not as_json:
        check_account.show(seen)
    failing = check_account.errors(seen) if seen else 0
    if failing:
        problems = [*problems, f"{failing} in the account would let an execution fail; they are shown above"]
    if problems:
        raise problems_error(name, problems, f"Fix them, then: {next_command}")
    if not as_json:
        unknown = result is not None and result.memory is None
        print(f"{name}: no problems{' in what was checked; memory was not estimated' if unknown else ''}")


def print_definition(
    settings: Settings = DEFAULT_SETTINGS,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to a file instead of stdout.")] = None,
) -> None:
    """Print the pipeline definition (JSON); the same settings give the same bytes."""
    from pipeline.definition.kept import rendered

    text = rendered(workflow_settings.load(settings)) + "\n"
    if output is None:
        print(text, end="")
        return
    from pipeline.files import write_text

    write_text(output, text)


def show(settings: Settings = DEFAULT_SETTINGS) -> None:
    """Draw the pipeline: its steps as a tree, and its parameters."""
    from pipeline.definition.kept import rendered
    from pipeline.definition.tree import draw
    from pipeline.parameters.declared import parameters

    workflow = workflow_settings.load(settings)
    helps = {parameter.name: parameter.help for parameter in parameters(workflow)}
    stdout().print(draw(json.loads(rendered(workflow)), helps, workflow.settings.pipeline_name))
