"""The account's bucket: region, encryption, public access, and whether EventBridge hears what triggers wait for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipeline.account_check import needs
from pipeline.account_check.context import Context, Look
from pipeline.account_check.finding import Finding, error, warning
from pipeline.account_check.subjects import role
from pipeline.automation import triggers

BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
OLD_NAMES = {None: "us-east-1", "EU": "eu-west-1"}  # what GetBucketLocation says of the oldest regions
_NEW_DATA = re.compile(r"(?:^New data under| and) s3://([^/]+)/")


def looks(context: Context) -> Iterator[Look]:
    where = context.place("account", "bucket")
    yield Look(where, ("s3:GetBucketLocation",), lambda: _region(context))
    yield Look(where, ("s3:GetEncryptionConfiguration",), lambda: _encryption(context))
    yield Look(where, ("s3:GetBucketPublicAccessBlock",), lambda: _public(context))
    if context.workflow.account.automation:
        actions = ("events:ListRules", "events:ListTargetsByRule", "s3:GetBucketNotification")
        yield Look(context.place("account", "automation"), actions, lambda: _events(context))


def _asked(call: Any, missing: str) -> Any:
    """An answer of S3; None where there is no bucket (which one look says) or the named configuration."""
    from botocore.exceptions import ClientError

    try:
        return call()
    except ClientError as problem:
        if problem.response["Error"].get("Code") in ("NoSuchBucket", missing):
            return None
        raise


def _region(context: Context) -> Iterator[Finding]:
    bucket = context.workflow.account.bucket
    answer = _asked(lambda: context.client("s3").get_bucket_location(Bucket=bucket), "NoSuchBucket")
    if answer is None:
        yield error(
            f"there is no bucket {bucket}", f"make it: {context.command('bootstrap')}, or name one that is there"
        )
        return
    constraint = answer.get("LocationConstraint")
    region = OLD_NAMES.get(constraint, constraint)
    if region != context.region:
        yield error(
            f"the bucket lies in {region}, and SageMaker reads and writes only buckets of its own region, "
            f"{context.region}",
            f"name a bucket of {context.region}, or write region: {region} ({context.place('account', 'region')})",
        )


def _encryption(context: Context) -> Iterator[Finding]:
    bucket = context.workflow.account.bucket
    answer = _asked(
        lambda: context.client("s3").get_bucket_encryption(Bucket=bucket),
        "ServerSideEncryptionConfigurationNotFoundError",
    )
    rules = (answer or {}).get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
    defaults = [rule.get("ApplyServerSideEncryptionByDefault", {}) for rule in rules]
    if answer is None and _asked(lambda: context.client("s3").get_bucket_location(Bucket=bucket), "NoSuchBucket"):
        yield warning(
            "the bucket has no default encryption",
            f"{context.command('bootstrap')}, or S3 console > the bucket > Properties > Default encryption",
        )
    for key in {default.get("KMSMasterKeyID") for default in defaults if default.get("SSEAlgorithm") == "aws:kms"}:
        if key and key.startswith("arn:") and ":key/" in key:
            for need in needs.of_key(context, key):
                yield from role.simulated(context, need)


def _public(context: Context) -> Iterator[Finding]:
    bucket = context.workflow.account.bucket
    client = context.client("s3")
    answer = _asked(lambda: client.get_public_access_block(Bucket=bucket), "NoSuchPublicAccessBlockConfiguration")
    if answer is None and not _asked(lambda: client.get_bucket_location(Bucket=bucket), "NoSuchBucket"):
        return
    found = (answer or {}).get("PublicAccessBlockConfiguration", {})
    if off := [name for name in BLOCKS if not found.get(name)]:
        block = ",".join(f"{name}=true" for name in BLOCKS)
        yield warning(
            f"the bucket does not block all public access: {', '.join(off)} off",
            f"aws s3api put-public-access-block --bucket {bucket} --public-access-block-configuration {block}",
        )


def _events(context: Context) -> Iterator[Finding]:
    """Triggers on new data hear nothing of a bucket that does not tell EventBridge."""
    name = context.workflow.settings.pipeline_name
    waiting = {
        bucket: trigger.name
        for trigger in triggers.list_triggers(context.client("events"), name)
        for bucket in _NEW_DATA.findall(trigger.on)
    }
    for bucket, trigger in waiting.items():
        if not _tells_eventbridge(context, bucket):
            yield error(
                f"trigger {trigger} waits for new objects in {bucket}, which does not tell EventBridge of them: it "
                "never starts",
                f"make the trigger again, which turns it on: {context.command('trigger --on-new-data s3://…/')}; or S3 "
                "console > the bucket > Properties > Amazon EventBridge > On",
            )


def _tells_eventbridge(context: Context, bucket: str) -> bool:
    """Whether it does; true of one that is not there, which is said elsewhere."""
    client = context.client("s3")
    answer = _asked(lambda: client.get_bucket_notification_configuration(Bucket=bucket), "NoSuchBucket")
    return answer is None or "EventBridgeConfiguration" in answer
