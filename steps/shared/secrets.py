"""Secrets of a job: named by ARN in its environment, fetched from AWS Secrets Manager, kept in this process alone.

A definition, and with it everyone who may describe a job, has `HF_TOKEN_SECRET_ARN`; `load` fetches the value and sets
`HF_TOKEN` in this process's environment, where the libraries look for it and what this process starts finds it. A value
is never printed, logged, written or put on a command line. `ARN#key` names a key of a secret that is a JSON object.

Limits: texts only; the secret is asked for in the region that its ARN names. A variable that is set already stays: a
local run takes secrets from the shell that starts it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from steps.shared.contract import StepError

SUFFIX = "_SECRET_ARN"
HUB = ("HF_TOKEN",)
MLFLOW = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
WANDB = ("WANDB_API_KEY",)
NAMES = (*HUB, *MLFLOW, *WANDB)

_WHY = {
    "AccessDeniedException": "the job's role may not read it; allow secretsmanager:GetSecretValue on it in the role's "
    "policy, and kms:Decrypt on its key where that is one of your own",
    "DecryptionFailure": "the job's role may not use its key; allow kms:Decrypt on it in the role's policy",
    "ResourceNotFoundException": "there is no such secret; fix the ARN in security.secrets of the account's settings",
}


def load() -> None:
    """Set every variable whose secret this process's environment names and that is not set yet.

    Raises:
        StepError: a secret cannot be had, or is not what its name says; the message holds nothing of its value.
    """
    wanted = {name: os.environ[name + SUFFIX] for name in NAMES if name + SUFFIX in os.environ}
    fetched: dict[str, str] = {}
    for name, place in wanted.items():
        if name in os.environ:
            continue
        arn, _, key = place.partition("#")
        if arn not in fetched:
            fetched[arn] = _fetch(name, arn)
        os.environ[name] = _value(name, arn, key, fetched[arn])


def _fetch(name: str, arn: str) -> str:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    region = arn.split(":")[3]
    config = Config(retries={"mode": "standard", "total_max_attempts": 4}, connect_timeout=10, read_timeout=20)
    try:
        answer = boto3.client("secretsmanager", region_name=region, config=config).get_secret_value(SecretId=arn)
    except (BotoCoreError, ClientError) as error:
        raise StepError(f"{name}: the secret {arn}: {_why(error, region)}") from None
    if "SecretString" not in answer:
        raise StepError(f"{name}: the secret {arn}: holds bytes and no text; store it as a text")
    return answer["SecretString"]


def _why(error: Any, region: str) -> str:
    details: Mapping[str, str] = getattr(error, "response", {}).get("Error", {})
    code = details.get("Code", "")
    if code in _WHY:
        return _WHY[code]
    if code:
        return f"{code}: {details.get('Message')}; fix it, then retry the execution"
    said = " ".join(str(error).split())
    return f"{said}; in a VPC without a NAT gateway add the endpoint com.amazonaws.{region}.secretsmanager"


def _value(name: str, arn: str, key: str, text: str) -> str:
    """The text itself, or the key of its object; without the line end that a file often brings along."""
    try:
        content = json.loads(text)
    except json.JSONDecodeError:
        content = text
    if isinstance(content, dict) and not key:
        raise StepError(f"{name}: the secret {arn}: is a JSON object; name the key that is meant: {arn}#KEY")
    if key and not isinstance(content, dict):
        raise StepError(f"{name}: the secret {arn}: is no JSON object and has no key {key}; leave #{key} out")
    value = content.get(key) if isinstance(content, dict) else text
    if not isinstance(value, str) or not value.strip():
        of_key = f" under the key {key}" if key else ""
        raise StepError(f"{name}: the secret {arn}: has no text{of_key}; fix the secret or its name")
    return value.strip()
