"""The secrets that jobs read: are they there. Their values are never asked for."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pipeline.account_check import needs
from pipeline.account_check.context import Context, Look
from pipeline.account_check.finding import Finding, error
from pipeline.account_check.subjects import role
from pipeline.aws.errors import described


def looks(context: Context) -> Iterator[Look]:
    for name, place in needs.secrets_of(context).items():
        where = context.place("account", f"security.secrets.{name}")
        yield Look(where, ("secretsmanager:DescribeSecret",), partial(_secret, context, place.partition("#")[0]))


def _secret(context: Context, arn: str) -> Iterator[Finding]:
    region = arn.split(":")[3]
    secret = described(lambda: context.client("secretsmanager", region).describe_secret(SecretId=arn))
    if secret is None:
        yield error(
            f"there is no secret {arn}", f"make it (aws secretsmanager create-secret --region {region}), or fix the ARN"
        )
        return
    if secret.get("DeletedDate"):
        yield error(
            f"the secret {arn} is being deleted",
            f"aws secretsmanager restore-secret --region {region} --secret-id {arn}",
        )
    key = secret.get("KmsKeyId") or ""
    if key.startswith("arn:") and ":key/" in key:  # one of your own: the role has to decrypt with it
        yield from role.simulated(context, needs.Need(key, ("kms:Decrypt",)))
