"""Draw a rendered definition as a tree: the steps with what they wait for, and the parameters with their defaults."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.tree import Tree

from pipeline.rendered import Step, read, steps_in

KINDS = {"Processing": "cyan", "Training": "magenta", "Condition": "yellow", "Fail": "red", "RegisterModel": "green"}


def draw(definition: dict[str, Any], helps: dict[str, str], name: str) -> Group:
    """The picture of a definition; `helps`: parameter -> one line of help."""
    found = read(definition)
    tree = Tree(f"[bold]{name}[/bold]")
    for step in found.steps:
        _add(tree, step)
    table = Table("Parameter", "Type", "Default", "Meaning", title="Parameters", title_justify="left", box=None)
    for parameter in found.parameters.values():
        shown = f"{parameter.default}" + (f"  (of {len(parameter.choices)})" if parameter.choices else "")
        table.add_row(parameter.name, parameter.type, shown, helps.get(parameter.name, ""))
    return Group(tree, "", table)


def _add(tree: Tree, step: Step) -> None:
    colour = KINDS.get(step.type, "white")
    waits = sorted(steps_in(step.arguments) | set(step.depends_on))
    after = f"  [dim]after {', '.join(waits)}[/dim]" if waits else ""
    node = tree.add(f"[{colour}]{step.name}[/{colour}] [dim]{step.type}{_where(step)}[/dim]{after}")
    for side, children in step.branches.items():
        condition = " and ".join(_condition(condition) for condition in step.arguments["Conditions"])
        branch = node.add(f"[italic]{f'if {condition}' if side == 'IfSteps' else 'else'}[/italic]")
        for child in children:
            _add(branch, child)


def _where(step: Step) -> str:
    processing = step.arguments.get("ProcessingResources", {})
    cluster = step.arguments.get("ResourceConfig") or processing.get("ClusterConfig")
    if not cluster:
        return ""
    return f", {expression(cluster['InstanceCount'])} x {expression(cluster['InstanceType'])}"


def _condition(condition: dict[str, Any]) -> str:
    return f"{expression(condition['LeftValue'])} {condition['Type'].lower()} {expression(condition['RightValue'])}"


def expression(value: Any) -> str:
    """A value or an expression of the definition, as short text."""
    if not isinstance(value, dict):
        return str(value)
    if "Get" in value:
        return value["Get"].removeprefix("Parameters.")
    if "Std:JsonGet" in value:
        file = value["Std:JsonGet"].get("PropertyFile", {}).get("Get", "")
        return f"{file.removeprefix('Steps.').replace('.PropertyFiles', '')}.{value['Std:JsonGet']['Path']}"
    if "Std:Join" in value:
        join = value["Std:Join"]
        return join["On"].join(expression(part) for part in join["Values"])
    return json.dumps(value)
