"""Triggers of a pipeline: EventBridge rules on new data and on approved versions. Functions are handed their clients.

New data: S3 tells EventBridge of each new object; the rule hands each event to a small function (Debounce, in
`configs/infrastructure.yaml`), which moves one one-time schedule. So 1,000 files start the pipeline once, when no file
has come for some minutes, and at the latest some hours after the first. The rule's target has the whole schedule
in it: the function knows no pipeline, and whoever looks at the rule sees what it starts.

An approved version: the event goes to a target of the user's own. It comes whenever an approved version changes, and so
sometimes twice; a version that is registered as approved counts too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from pipeline.automation.start import RETRIES, full_name, parameters_of, prefix, short_hash, start_target
from pipeline.aws.errors import described
from pipeline.errors import UserError
from pipeline.settings.account import Automation
from pipeline.settings.workflow import Workflow

LONGEST_MINUTES = 240  # of steady uploads, after which an execution starts all the same
QUIET_LIMIT = 120
TARGET_ID = "dpo"
INPUT_LIMIT = 8192  # characters of a rule target's constant input
TARGET = re.compile(r"arn:aws[a-z-]*:(?P<service>[a-z]+):[a-z0-9-]+:\d{12}:(?P<resource>.+)")
# service -> what the resource starts with, and the action that EventBridge does to it
TARGETS = {
    "sns": ("", "sns:Publish"),
    "sqs": ("", "sqs:SendMessage"),
    "lambda": ("function:", "lambda:InvokeFunction"),
    "codebuild": ("project/", "codebuild:StartBuild"),
    "states": ("stateMachine:", "states:StartExecution"),
}
BY_ROLE = ("codebuild", "states")  # EventBridge assumes a role for these; the others allow it themselves


@dataclass(frozen=True)
class Trigger:
    """One rule of a pipeline: what it waits for, and where that leads."""

    name: str
    on: str
    target: str
    state: str
    parameters: dict[str, str]


def new_data(
    workflow: Workflow,
    uri: str,
    quiet_minutes: int,
    pipeline_arn: str,
    parameters: Mapping[str, str],
    automation: Automation,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """PutRule's request and its target, for objects that come under a prefix; and where the workflow collects, for
    feedback too, as one rule with one start.

    Raises:
        UserError: no prefix, one that the pipeline itself writes to, or too many parameters for a rule.
    """
    _check_place(workflow, uri)
    watched = watched_by(workflow, uri)
    if not 1 <= quiet_minutes <= QUIET_LIMIT:
        raise UserError(f"--quiet-minutes {quiet_minutes}: must be 1 to {QUIET_LIMIT}")
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": _created_under(watched),
    }
    rule = _rule(workflow, f"new-data.{short_hash(uri)}", f"New data under {' and '.join(watched)}", pattern)
    schedule = {
        "Name": rule["Name"],
        "GroupName": automation.schedule_group,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "ActionAfterCompletion": "DELETE",
        "Target": start_target(pipeline_arn, parameters, automation),
    }
    given = json.dumps({"quiet": quiet_minutes, "longest": LONGEST_MINUTES, "schedule": schedule}, sort_keys=True)
    if len(given) > INPUT_LIMIT:
        raise UserError(
            f"--set: {len(given)} characters with the rest, a rule takes {INPUT_LIMIT}; set fewer parameters"
        )
    return rule, _target(automation.debounce_function_arn, automation) | {"Input": given}


def watched_by(workflow: Workflow, uri: str) -> list[str]:
    """The prefixes under which new objects start the pipeline, for `--on-new-data` with this one."""
    return [uri, *([workflow.feedback_uri] if workflow.settings.collect else [])]


def bucket_of(uri: str) -> str:
    return uri.removeprefix("s3://").partition("/")[0]


def _created_under(uris: Sequence[str]) -> dict[str, Any]:
    """The detail of a pattern for objects under prefixes; `$or` keeps each bucket's prefixes to it."""
    prefixes: dict[str, list[str]] = {}
    for uri in uris:
        bucket = bucket_of(uri)
        prefixes.setdefault(bucket, []).append(uri.removeprefix(f"s3://{bucket}/"))
    parts = [
        {"bucket": {"name": [bucket]}, "object": {"key": [{"prefix": key} for key in keys]}}
        for bucket, keys in prefixes.items()
    ]
    return parts[0] if len(parts) == 1 else {"$or": parts}


def _check_place(workflow: Workflow, uri: str) -> None:
    """Raises UserError: no prefix, or one that the pipeline itself writes to."""
    if not uri.startswith("s3://") or not bucket_of(uri) or not uri.endswith("/"):
        raise UserError(f'--on-new-data {uri}: must be an S3 prefix that ends in "/", such as s3://bucket/preferences/')
    own = f"s3://{workflow.account.bucket}/{workflow.account.prefix}"
    for written in (f"{workflow.base_uri}/", f"{own}/inputs/"):
        if written.startswith(uri) or uri.startswith(written):
            raise UserError(
                f"--on-new-data {uri}: the pipeline writes to {written} itself, and would start itself again and "
                f"again; name a prefix of the data's own, such as {own}/preferences/"
            )


def approved(workflow: Workflow, target: str, automation: Automation) -> tuple[dict[str, Any], dict[str, Any]]:
    """PutRule's request and its target, for versions of the workflow's group that are approved.

    Raises:
        UserError: the target is none of those that a rule of ours takes.
    """
    service = _service(target)
    group = workflow.settings.register_model.package_group
    pattern = {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Model Package State Change"],
        "detail": {"ModelPackageGroupName": [group], "ModelApprovalStatus": ["Approved"]},
    }
    rule = _rule(workflow, f"approved.{short_hash(target)}", f"Approved versions of {group}", pattern)
    request = _target(target, automation)
    if service in BY_ROLE:
        request["RoleArn"] = automation.events_role_arn
    if service == "sns":  # read by people; the others get the whole event
        request["InputTransformer"] = {
            "InputPathsMap": {"arn": "$.detail.ModelPackageArn", "version": "$.detail.ModelPackageVersion"},
            "InputTemplate": f'"{group} version <version> is approved (<arn>): python pipeline.py deploy <version>"',
        }
    return rule, request


def _service(target: str) -> str:
    match = TARGET.fullmatch(target)
    start, _ = TARGETS.get(match["service"], ("", "")) if match else ("", "")
    if not match or match["service"] not in TARGETS or not match["resource"].startswith(start):
        raise UserError(
            f"--on-model-approved {target}: must be the ARN of an SNS topic, SQS queue, Lambda function, CodeBuild "
            "project or a Step Functions state machine; a command of yours runs in a CodeBuild project"
        )
    return match["service"]


def permission(target: str, rule_arn: str, automation: Automation) -> str:
    """What must be allowed for the target to be reached, as the command or the statement that does it."""
    service = _service(target)
    action = TARGETS[service][1]
    if service in BY_ROLE:
        return f"{action} on {target} for the role {automation.events_role_arn}, which may do it to names like its own"
    if service == "lambda":
        name = rule_arn.rpartition("/")[2].replace(".", "-")
        return (
            f"aws lambda add-permission --function-name {target} --statement-id {name} --action {action} "
            f"--principal events.amazonaws.com --source-arn {rule_arn}"
        )
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": action,
        "Resource": target,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
    }
    return f"in the resource policy of {target}: {json.dumps(statement)}"


def put(
    events: Any, rule: Mapping[str, Any], target: Mapping[str, Any]
) -> tuple[Literal["created", "updated", "unchanged"], str]:
    """Create the rule with its target, or bring the one of that name to this request; and the rule's ARN.

    Raises:
        UserError: EventBridge refused the target.
    """
    there = described(lambda: events.describe_rule(Name=rule["Name"]))
    known = _targets(events, rule["Name"]) if there else []
    same = there is not None and all(_plain(there.get(key)) == _plain(value) for key, value in rule.items())
    if same and known == [dict(target)]:
        return "unchanged", there["Arn"]
    arn = events.put_rule(**rule)["RuleArn"]
    refused = events.put_targets(Rule=rule["Name"], Targets=[dict(target)]).get("FailedEntries") or []
    if refused:
        raise UserError(
            f"AWS: PutTargets refused {target['Arn']} ({refused[0].get('ErrorMessage', 'no reason given')})"
        )
    return "updated" if there else "created", arn


def enable_events(s3: Any, bucket: str) -> bool:
    """Have S3 tell EventBridge of the bucket's new objects; what else the bucket notifies stays. Whether it was new."""
    current = s3.get_bucket_notification_configuration(Bucket=bucket)
    current.pop("ResponseMetadata", None)
    if "EventBridgeConfiguration" in current:
        return False
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration=current | {"EventBridgeConfiguration": {}}
    )
    return True


def list_triggers(events: Any, pipeline: str) -> list[Trigger]:
    """The triggers of a pipeline, by name."""
    found = []
    for rule in _rules(events, pipeline):
        for target in _targets(events, rule["Name"]):
            start = json.loads(target.get("Input", "{}")).get("schedule", {}).get("Target", {})
            found.append(
                Trigger(
                    rule["Name"].removeprefix(prefix(pipeline)),
                    rule.get("Description", ""),
                    start.get("Arn", target["Arn"]),
                    rule["State"],
                    parameters_of(start),
                )
            )
    return found


def remove(events: Any, scheduler: Any, pipeline: str, group: str, name: str, options: str) -> None:
    """Delete one trigger of a pipeline, named as `triggers` lists it, with the start that it may have planned.

    Raises:
        UserError: there is none of that name.
    """
    known = [entry["Name"] for entry in _rules(events, pipeline)]
    rule = full_name("trigger", pipeline, name, known, options)
    ids = [target["Id"] for target in _targets(events, rule)]
    if ids:
        events.remove_targets(Rule=rule, Ids=ids)
    events.delete_rule(Name=rule)
    for planned in (rule, f"{rule}.next"):
        described(partial(scheduler.delete_schedule, Name=planned, GroupName=group))


def rules_of(events: Any, target: str) -> list[str]:
    """The names of the rules that lead to a target."""
    pages = events.get_paginator("list_rule_names_by_target").paginate(TargetArn=target)
    return [name for page in pages for name in page["RuleNames"]]


def _rule(workflow: Workflow, name: str, description: str, pattern: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "Name": f"{prefix(workflow.settings.pipeline_name)}{name}",
        "Description": description,
        "EventPattern": json.dumps(pattern, sort_keys=True),
        "State": "ENABLED",
    }


def _target(arn: str, automation: Automation) -> dict[str, Any]:
    return {
        "Id": TARGET_ID,
        "Arn": arn,
        "RetryPolicy": RETRIES | {"MaximumRetryAttempts": 185},
        "DeadLetterConfig": {"Arn": automation.dead_letter_queue_arn},
    }


def _rules(events: Any, pipeline: str) -> list[dict[str, Any]]:
    pages = events.get_paginator("list_rules").paginate(NamePrefix=prefix(pipeline))
    return sorted((rule for page in pages for rule in page["Rules"]), key=lambda rule: rule["Name"])


def _targets(events: Any, rule: str) -> list[dict[str, Any]]:
    pages = events.get_paginator("list_targets_by_rule").paginate(Rule=rule)
    return [target for page in pages for target in page["Targets"]]


def _plain(value: Any) -> Any:
    """An event pattern without the differences that JSON allows."""
    try:
        return json.loads(value)
    except (TypeError, ValueError):
        return value
