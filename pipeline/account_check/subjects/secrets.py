"""The secrets that jobs read: are they there. Their values are never asked for."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pipeline.account_check import needs, resources
from pipeline.account_check.context import Context, Look
from pipeline.account_check.finding import Finding, error
from pipeline.account_check.subjects import role
from pipeline.aws.errors import described


def looks(context: Context) -> Iterator[Look]:
    for name, place in resources.secrets_of(context).items():
        where = context.place("account", f"security.secrets.{name}")
        yield Look(where, ("secretsmanager:DescribeSecret",), partial(_secret, context, place.partition("#")[0]))


def _secret(context: Context, arn: str) -> Iterator[Finding]:
    region = arn.split(":")[3]
    secret = described(lambda: context.client("secretsmanager", region).describe_secret(SecretId=arn))
    if secret is None:
        yield error(
            f"there is no secret {arn}",
            f"make it (aws secretsmanager create-secret --region {region}), or fix the ARN: give it whole, with the "
            "hyphen and the six characters that AWS puts behind the name",
        )
        return
    if secret.get("DeletedDate"):
        yield error(
            f"the secret {arn} is being deleted",
            f"aws secretsmanager restore-secret --region {region} --secret-id {arn}",
        )
    key = secret.get("KmsKeyId") or ""
    if key.startswith("arn:") and ":key/" in key:  # one of your own: who reads the secret has to decrypt with it
        readers = [job for job in resources.STEPS if arn in resources.secret_arns(context, job)]
        for role_arn, setting in dict(needs.role(context, job) for job in readers).items():
            yield from role.simulated(context, needs.Need(role_arn, setting, key, ("kms:Decrypt",)))
