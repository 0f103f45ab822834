"""IAM's rules on the template's policies: what a role of the stack may do in moto's account."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from pipeline.account import template
from pipeline.account.template import listed
from tests.pipeline.moto_server import ACCOUNT, BUCKET

KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1a2b"
HUB = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:dpo-hub-AbCdEf"
TRACKERS = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:dpo-trackers-GhIjKl"
JUDGE = "arn:aws:bedrock:us-east-1::foundation-model/the.judge-v1:0"
THEIRS = "arn:aws:s3:::theirs"
VALUES = {  # of parameters and pseudo parameters
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": ACCOUNT,
    "Name": "dpo",
    "Prefix": "dpo",
    "HubSecret": [HUB],
    "TrackingSecrets": [TRACKERS],
    "JudgeArns": [JUDGE],
    "ReadArns": [THEIRS, f"{THEIRS}/*"],
    "JobsSecurityGroup": "sg-0123abcd",
    "ScheduleGroup": "dpo-pipeline",
}
ATTRIBUTES = {("Bucket", "Arn"): f"arn:aws:s3:::{BUCKET}", ("Key", "Arn"): KEY}


@cache
def resources() -> dict[str, Any]:
    """The template's resources, read once; not to be changed."""
    found: dict[str, Any] = template.read()["Resources"]
    return found


def resolved(value: Any, true: tuple[str, ...] = ()) -> Any:
    """A part of the template as CloudFormation would make it.

    Args:
        true: the template's conditions that hold, of those that stand inside a resource.
    """
    if isinstance(value, dict) and len(value) == 1:
        ((name, inner),) = value.items()
        if name == "Fn::Sub":
            return _substituted(inner)
        if name == "Ref":
            return VALUES[inner]
        if name == "Fn::GetAtt":
            return attribute(*inner)
        if name == "Fn::If":
            return resolved(inner[1] if inner[0] in true else inner[2], true)
    if isinstance(value, dict):
        return {key: resolved(inner, true) for key, inner in value.items()}
    return [resolved(inner, true) for inner in value] if isinstance(value, list) else value


def _substituted(text: str) -> str:
    for name, value in VALUES.items():
        text = text.replace("${" + name + "}", str(value))
    return text.replace("${Bucket.Arn}", ATTRIBUTES["Bucket", "Arn"])


def attribute(logical: str, name: str) -> str:
    """Of a role its ARN, made of the name that the template gives it."""
    if (logical, name) in ATTRIBUTES:
        return ATTRIBUTES[logical, name]
    return f"arn:aws:iam::{ACCOUNT}:role/{resolved(resources()[logical]['Properties']['RoleName'])}"


def of_role(role: str, *true: str) -> list[dict[str, Any]]:
    """The statements of all policies that a role of the template has, the optional ones too."""
    return [
        statement
        for _, document in template.of_role(resources(), role)
        for statement in resolved(document, true)["Statement"]
    ]


def of_policy(policy: str) -> list[dict[str, Any]]:
    """The statements of a managed policy of the template."""
    statements: list[dict[str, Any]] = resolved(resources()[policy]["Properties"]["PolicyDocument"])["Statement"]
    return statements


def decision(
    statements: list[dict[str, Any]], action: str, resource: str, keys: Mapping[str, str] | None = None
) -> str:
    """IAM's decision on one action and resource, as the simulation words it."""
    found = "implicitDeny"
    for statement in statements:
        named = any(fnmatchcase(action.lower(), one.lower()) for one in listed(statement["Action"]))
        meant = any(fnmatchcase(resource, one) for one in listed(statement["Resource"]))
        if named and meant and _holds(statement.get("Condition", {}), keys or {}):
            if statement["Effect"] == "Deny":
                return "explicitDeny"
            found = "allowed"
    return found


def _holds(condition: Mapping[str, Any], keys: Mapping[str, str]) -> bool:
    for operator, wanted in condition.items():
        for key, values in wanted.items():
            equal = keys.get(key) in listed(values)
            if operator not in ("StringEquals", "Bool", "StringNotEquals"):
                raise NotImplementedError(operator)
            if equal == (operator == "StringNotEquals"):
                return False
    return True
