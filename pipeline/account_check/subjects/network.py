"""The subnets, security groups and KMS keys that the settings name.

Limits: looks at no routes and no endpoints, and not into other security groups and prefix lists that rules lead to.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from pipeline.account_check import resources
from pipeline.account_check.context import Context, Look
from pipeline.account_check.finding import Finding, error, unknown, warning
from pipeline.aws.errors import described
from steps.train.tracking.settings import is_address

SUBNETS, GROUPS = "security.subnets", "security.security_groups"


def looks(context: Context) -> Iterator[Look]:
    if context.workflow.account.security.subnets:
        actions = ("ec2:DescribeSubnets", "ec2:DescribeSecurityGroups")
        yield Look(context.place("account", SUBNETS), actions, lambda: _vpc(context))
    for setting, arn in resources.keys(context).items():
        where = context.place("account", f"security.{setting}")
        yield Look(where, ("kms:DescribeKey",), partial(_key, context, arn))


def _vpc(context: Context) -> Iterator[Finding]:
    security, ec2 = context.workflow.account.security, context.client("ec2")
    by_id = [{"Name": "subnet-id", "Values": list(security.subnets)}]
    pages = ec2.get_paginator("describe_subnets").paginate(Filters=by_id)
    subnets = {subnet["SubnetId"]: subnet for page in pages for subnet in page["Subnets"]}
    by_id = [{"Name": "group-id", "Values": list(security.security_groups)}]
    pages = ec2.get_paginator("describe_security_groups").paginate(Filters=by_id)
    groups = {group["GroupId"]: group for page in pages for group in page["SecurityGroups"]}
    fix = f"fix {context.place('account', SUBNETS)} and {context.place('account', GROUPS)}; the VPC console lists both"
    for name in [*security.subnets, *security.security_groups]:
        if name not in subnets and name not in groups:
            yield error(f"there is no {name} in {context.region}", fix)
    if len(networks := sorted({one["VpcId"] for one in [*subnets.values(), *groups.values()]})) > 1:
        yield error(f"subnets and security groups are of several VPCs: {', '.join(networks)}", fix)
    yield from _room(context, subnets)
    yield from _among_themselves(context, groups)
    yield from _to_the_internet(context, groups)


def _room(context: Context, subnets: dict[str, Any]) -> Iterator[Finding]:
    """Each instance of a job takes an address."""
    count = int(context.values["TrainInstanceCount"])
    free = {name: subnet["AvailableIpAddressCount"] for name, subnet in subnets.items()}
    if free and max(free.values()) < count:
        yield error(
            f"no subnet has {count} free addresses, one for each training instance: "
            + ", ".join(f"{name} has {number}" for name, number in free.items()),
            "free some, or name a larger subnet",
        )


def _among_themselves(context: Context, groups: dict[str, Any]) -> Iterator[Finding]:
    """Training on several instances needs traffic between them."""
    for name, group in groups.items():
        sources = {pair.get("GroupId") for rule in group.get("IpPermissions", []) for pair in rule["UserIdGroupPairs"]}
        if sources & groups.keys():
            continue
        several = int(context.values["TrainInstanceCount"]) > 1
        yield (error if several else warning)(
            f"{name} allows no traffic among its members, which training on several instances needs",
            f"aws ec2 authorize-security-group-ingress --group-id {name} --protocol -1 --source-group {name} "
            f"--region {context.region}",
        )


def _to_the_internet(context: Context, groups: dict[str, Any]) -> Iterator[Finding]:
    """What of a workflow needs more than AWS's endpoints, where no group's rule names addresses that it may go to."""
    recipe = context.workflow.recipe
    uri = recipe.mlflow_uri or ""
    wants = [
        *(["the base model from the hub"] if "ModelId" in context.values else []),
        *([f"the tracking server {uri}"] if is_address(uri) else []),
        *(["Weights & Biases"] if recipe.wandb_project else []),
    ]
    rules = [rule for group in groups.values() for rule in group.get("IpPermissionsEgress", [])]
    if not groups or any(rule.get("IpRanges") or rule.get("Ipv6Ranges") for rule in rules):
        return
    out = f"let them out by a NAT gateway of yours: {context.command('bootstrap --set InternetAccess=true')}"
    unseen, needed = _unseen(rules, groups), ", ".join(wants)
    if wants and unseen:
        yield unknown(
            f"jobs need {needed}, and the security groups let them out to {', '.join(unseen)} only, which are not "
            "looked into",
            f"see that these lead there; if not, keep the model in S3 and leave out trackers, or {out}",
        )
    elif wants:
        yield error(
            f"the security groups let jobs out to no address beyond each other, and they need {needed}",
            f"keep the model in S3 and leave out trackers, or {out}",
        )
    if uri.startswith("arn:"):
        yield warning(
            f"jobs track by {uri.split(':')[3]}.experiments.sagemaker.aws, for which the stack has no endpoint, and "
            "the security groups let them out to no address: without an endpoint of yours nothing is tracked",
            f"make an endpoint for it that these groups reach, leave out mlflow_uri, or {out}",
        )


def _unseen(rules: list[dict[str, Any]], groups: dict[str, Any]) -> list[str]:
    """The other groups and the prefix lists that rules lead to."""
    others = {pair["GroupId"] for rule in rules for pair in rule.get("UserIdGroupPairs", []) if "GroupId" in pair}
    lists = {one["PrefixListId"] for rule in rules for one in rule.get("PrefixListIds", [])}
    return [*sorted(others - groups.keys()), *sorted(lists)]


def _key(context: Context, arn: str) -> Iterator[Finding]:
    region = arn.split(":")[3]
    answer = described(lambda: context.client("kms", region).describe_key(KeyId=arn))
    if answer is None:
        yield error(
            f"there is no key {arn}",
            f"name one that is there, or make one: {context.command('bootstrap --set CreateKey=true')}",
        )
        return
    key = answer["KeyMetadata"]
    if key["KeyState"] != "Enabled":
        yield error(
            f"the key {arn} is {key['KeyState']}",
            f"KMS console > Customer managed keys > the key; or aws kms enable-key --key-id {arn} --region {region}",
        )
    if key.get("KeySpec", "SYMMETRIC_DEFAULT") != "SYMMETRIC_DEFAULT":
        yield error(f"the key {arn} is {key['KeySpec']}, and jobs need a symmetric one", "name a symmetric key")
    if region != context.region:
        yield error(
            f"the key lies in {region}, and the jobs run in {context.region}", f"name a key of {context.region}"
        )
