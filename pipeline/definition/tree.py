"""Draw a rendered definition as a tree: the steps with what they wait for, and the parameters with their defaults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.tree import Tree

KINDS = {"Processing": "cyan", "Training": "magenta", "Condition": "yellow", "Fail": "red", "RegisterModel": "green"}


def draw(definition: dict[str, Any], helps: dict[str, str], name: str) -> Group:
    """The picture of a definition; `helps`: parameter -> one line of help."""
    tree = Tree(f"[bold]{name}[/bold]")
    for step in definition["Steps"]:
        _add(tree, step)
    table = Table("Parameter", "Type", "Default", "Meaning", title="Parameters", title_justify="left", box=None)
    for parameter in definition["Parameters"]:
        choices = parameter.get("EnumValues", [])
        shown = f"{parameter['DefaultValue']}" + (f"  (of {len(choices)})" if choices else "")
        table.add_row(parameter["Name"], parameter["Type"], shown, helps.get(parameter["Name"], ""))
    return Group(tree, "", table)


def _add(tree: Tree, step: dict[str, Any]) -> None:
    colour = KINDS.get(step["Type"], "white")
    waits = sorted(set(_references(_own_arguments(step))) | set(step.get("DependsOn", [])))
    after = f"  [dim]after {', '.join(waits)}[/dim]" if waits else ""
    node = tree.add(f"[{colour}]{step['Name']}[/{colour}] [dim]{step['Type']}{_where(step)}[/dim]{after}")
    if step["Type"] == "Condition":
        condition = " and ".join(_condition(condition) for condition in step["Arguments"]["Conditions"])
        for title, key in ((f"if {condition}", "IfSteps"), ("else", "ElseSteps")):
            branch = node.add(f"[italic]{title}[/italic]")
            for child in step["Arguments"][key]:
                _add(branch, child)


def _own_arguments(step: dict[str, Any]) -> Any:
    """A step's arguments without those of the steps in its branches."""
    arguments = step["Arguments"]
    return arguments["Conditions"] if step["Type"] == "Condition" else arguments


def _where(step: dict[str, Any]) -> str:
    cluster = step["Arguments"].get("ResourceConfig") or step["Arguments"].get("ProcessingResources", {}).get(
        "ClusterConfig"
    )
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


def _references(value: Any) -> Iterator[str]:
    """Names of the steps that a value refers to."""
    if isinstance(value, dict):
        reference = value.get("Get")
        if isinstance(reference, str) and reference.startswith("Steps."):
            yield reference.split(".")[1]
        for part in value.values():
            yield from _references(part)
    elif isinstance(value, list):
        for part in value:
            yield from _references(part)
