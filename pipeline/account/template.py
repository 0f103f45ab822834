"""The infrastructure's template (`configs/infrastructure.yaml`), as data, with short forms (`!Ref X`) as long ones.

Limits: nothing is resolved; `!Sub "${Name}-x"` is `{"Fn::Sub": "${Name}-x"}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from pipeline.files import ROOT

TEMPLATE = ROOT / "configs" / "infrastructure.yaml"
LONGEST = 51_200  # bytes that CloudFormation takes in a request


class _Loader(yaml.SafeLoader):
    """Reads `!Name value` as `{"Fn::Name": value}`."""


def _long(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    else:
        value = node.value
    if suffix == "GetAtt":
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _long)


def read() -> dict[str, Any]:
    """The whole template."""
    document: dict[str, Any] = yaml.load(TEMPLATE.read_text(encoding="utf-8"), _Loader)
    return document


def body() -> str:
    """The template as CloudFormation gets it: compact JSON; the YAML is too long for a request."""
    return json.dumps(read(), separators=(",", ":"))


def of_role(resources: Mapping[str, Any], role: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The policies of a role, without its trust policy: its own, and those that are attached to it.

    Args:
        role: the role's logical id.
    """
    for name, resource in resources.items():
        properties = resource["Properties"]
        if name == role:
            documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        elif {"Ref": role} in properties.get("Roles", []):
            documents = [properties["PolicyDocument"]]
        else:
            continue
        for document in documents:
            yield name, document


def policies(resources: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every policy document of the template's resources, trust policies too, with the resource that it belongs to."""
    for name, resource in resources.items():
        for document in _documents(resource):
            yield name, document


def _documents(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict) and "Statement" in value:
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _documents(inner)


def listed(value: Any) -> list[Any]:
    """A policy's member that may be one value or a list of them."""
    return value if isinstance(value, list) else [value]
