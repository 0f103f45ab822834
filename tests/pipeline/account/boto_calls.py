"""The boto3 calls in the code, as IAM's actions."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from botocore import xform_name
from botocore.session import Session

from tests.paths import ROOT

# boto3's calls whose IAM action has another name; None: needs no permission.
ACTIONS = {
    "s3:HeadObject": "s3:GetObject", "s3:UploadFile": "s3:PutObject", "s3:DownloadFile": "s3:GetObject",
    "s3:ListObjectsV2": "s3:ListBucket", "s3:GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:PutBucketNotificationConfiguration": "s3:PutBucketNotification", "sts:GetCallerIdentity": None,
    "s3:ListObjectVersions": "s3:ListBucketVersions", "s3:DeleteObjects": "s3:DeleteObjectVersion",
    "bedrock-runtime:Converse": "bedrock:InvokeModel",
}  # fmt: skip
BY_POSITION = {"upload_file": "s3:UploadFile", "download_file": "s3:DownloadFile"}
SERVICES = (
    "sagemaker", "s3", "sts", "logs", "scheduler", "events", "cloudwatch", "ecr", "ec2", "iam", "kms", "secretsmanager",
    "service-quotas", "bedrock-runtime",
)  # fmt: skip
PREFIXES = {"service-quotas": "servicequotas"}  # what IAM calls a service otherwise


def calls(path: Path) -> list[set[str]]:
    """The boto3 calls in a module, each as the IAM actions of the services that have such a call.

    A client takes keywords alone, but for what boto3 adds to it: so `pattern.search(text)` is none.
    """
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        name = node.func.attr
        if name == "get_paginator":
            assert isinstance(node.args[0], ast.Constant), f"{path} line {node.lineno}: name the operation right here"
            name = str(node.args[0].value)
        elif node.args and name not in BY_POSITION:
            continue
        actions = {ACTIONS.get(action, action) for action in operations().get(name, ())}
        if actions and None not in actions:
            found.append(actions)
    return found


@cache
def operations() -> dict[str, set[str]]:
    """boto3's method -> the operations behind it, of all services that are used here."""
    found: dict[str, set[str]] = {name: {operation} for name, operation in BY_POSITION.items()}
    session = Session()
    for service in SERVICES:
        for operation in session.get_service_model(service).operation_names:
            found.setdefault(xform_name(operation), set()).add(f"{PREFIXES.get(service, service)}:{operation}")
    return found


def modules(folder: str) -> list[Path]:
    return [path for path in sorted((ROOT / folder).rglob("*.py")) if "local" not in path.parts]
