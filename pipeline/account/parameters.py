"""What the settings say of the template's parameters: the prefix of results, the secrets of jobs, S3's prefix list."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pipeline.errors import UserError
from pipeline.settings.account import Account

_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}")  # Secrets Manager puts it behind a secret's name


def of_account(account: Account) -> dict[str, str]:
    """What the stack's roles are allowed: results below the prefix, and the secrets that the account's file names."""
    given = account.security.secrets.model_dump(exclude_none=True)
    hub = given.pop("HF_TOKEN", None)
    return {
        "Prefix": account.prefix,
        "HubSecret": ",".join(_secret_arns(hub)) if hub else "",
        "TrackingSecrets": ",".join(sorted({arn for place in given.values() for arn in _secret_arns(place)})),
    }


def _secret_arns(place: str) -> list[str]:
    """A secret's ARN as a policy has to name it: without the key in it, and with the suffix that AWS gives.

    `...:secret:dpo-mlflow` may be a whole ARN or lack the suffix, since `-mlflow` looks like one: both are named.
    """
    arn = place.partition("#")[0]
    return [arn, f"{arn}-??????"] if _SUFFIX.fullmatch(arn[-7:]) else [f"{arn}-??????"]


def prefix_list(ec2: Any, region: str) -> str:
    """The id of the region's prefix list of S3.

    Raises:
        UserError: the region has none.
    """
    name = f"com.amazonaws.{region}.s3"
    wanted = [{"Name": "prefix-list-name", "Values": [name]}]
    pages = ec2.get_paginator("describe_managed_prefix_lists").paginate(Filters=wanted)
    for page in pages:
        for found in page["PrefixLists"]:
            if found["PrefixListName"] == name:
                return str(found["PrefixListId"])
    raise UserError(f"{region} has no prefix list {name}: name the one of S3 with --set S3PrefixList=pl-...")


def needs_prefix_list(known: Mapping[str, str], overrides: Mapping[str, str]) -> bool:
    """Whether the stack is to have a network whose way to S3 it does not know yet."""
    values = {**known, **overrides}
    return bool(values.get("VpcId")) and not values.get("S3PrefixList")
