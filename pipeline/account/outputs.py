"""The stack's outputs as the account's file has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.settings.account import Account

# setting -> output
ROLES = {
    "champion": "ChampionRoleArn",
    "preprocess": "PreprocessRoleArn",
    "train": "TrainRoleArn",
    "gate": "GateRoleArn",
    "merge": "MergeRoleArn",
    "register_job": "RegisterRoleArn",
    "serve": "ServeRoleArn",
}
AUTOMATION = {
    "schedule_group": "ScheduleGroupName",
    "scheduler_role_arn": "SchedulerRoleArn",
    "events_role_arn": "EventsRoleArn",
    "dead_letter_queue_arn": "DeadLetterQueueArn",
    "debounce_function_arn": "DebounceFunctionArn",
}


def account_values(account: Account, values: Mapping[str, str], parameters: Mapping[str, str]) -> dict[str, Any]:
    """What the account file should say; images are `images push`'s to write.

    Args:
        account: what it says now.
        values: the stack's outputs.
        parameters: the stack's parameters.
    """
    security: dict[str, Any] = {}
    if group := values.get("SecurityGroupId"):
        security |= {"subnets": parameters["SubnetIds"].split(","), "security_groups": [group]}
    if key := values.get("KeyArn"):
        security |= {"volume_kms_key": key, "output_kms_key": key}
    return {
        "account_id": account.account_id,
        "region": account.region,
        "role_arn": values["RoleArn"],
        "roles": {name: values[output] for name, output in ROLES.items()},
        "bucket": values["BucketName"],
        "automation": {key: values[output] for key, output in AUTOMATION.items()},
        **({"security": security} if security else {}),
    }
