"""Whose credentials these are, and whether the settings agree with them.

Comes before everything else: with another account's credentials each further finding would be of the wrong account.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pipeline.account_check import needs
from pipeline.account_check.context import Context, Look
from pipeline.account_check.finding import Finding, error, warning
from pipeline.aws.client import session


def caller(context: Context) -> tuple[str, list[Finding]]:
    """The ARN of the credentials, and why nothing else can be looked at with them; AWS's errors leave it."""
    identity = context.client("sts").get_caller_identity()
    arn, account = str(identity["Arn"]), context.workflow.account
    if identity["Account"] == account.account_id:
        return arn, []
    return arn, [
        error(
            f"the settings name account {account.account_id}, and the credentials are {arn}; nothing else was looked "
            "at",
            f"choose others with AWS_PROFILE, or fix the setting, then: {context.command('check --account')}",
        )
    ]


def looks(context: Context) -> Iterator[Look]:
    yield Look(context.place("account", "region"), (), lambda: _region(context))
    for arn, setting in needs.roles(context).items():
        yield Look(context.place("account", setting), (), partial(_role, context, arn))


def _region(context: Context) -> Iterator[Finding]:
    """By botocore's own list, which may be older than a region."""
    partition = context.workflow.account.role_arn.split(":")[1]
    listed = session(context.region, None).get_available_regions("sagemaker", partition_name=partition)
    if context.region not in listed:
        yield warning(
            f"boto3 knows no SageMaker in {context.region}; it knows {', '.join(sorted(listed)) or 'none'}",
            "fix the region, or update boto3 if it is new",
        )


def _role(context: Context, arn: str) -> Iterator[Finding]:
    account = context.workflow.account
    of_role = arn.split(":")[4]
    if of_role != account.account_id:
        yield error(
            f"the role is of account {of_role}, and the jobs run in {account.account_id}, to which it cannot be passed",
            f"name a role of this account, or make one: {context.command('bootstrap')}",
        )
