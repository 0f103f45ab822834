"""What the pipelines need in an account, by CloudFormation: a change set first, then the stack, then its outputs.

Every function is handed its client. The template is `configs/infrastructure.yaml`. Limits: one stack an account and
region for each Name; what holds data (bucket, key, image repositories, model package group) outlives the stack.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.aws.errors import described
from pipeline.errors import UserError

POLL_SECONDS = 5
NOTHING_TO_DO = ("didn't contain changes", "No updates are to be performed")
CAPABILITIES = ["CAPABILITY_NAMED_IAM"]
# What teardown leaves, by logical id, and the command that removes it once nobody wants it any more.
KEPT = {
    "Bucket": "aws s3 rb --force s3://{}  # versioned: empty it in the console first",
    "Key": "aws kms schedule-key-deletion --key-id {}",
    "TrainingRepository": "aws ecr delete-repository --force --repository-name {}",
    "ProcessingRepository": "aws ecr delete-repository --force --repository-name {}",
    "SparkRepository": "aws ecr delete-repository --force --repository-name {}",
    "ModelGroup": "aws sagemaker delete-model-package-group --model-package-group-name {}",
}


@dataclass(frozen=True)
class Change:
    """One resource that a change set touches; `replaces`: True, False or Conditional, as AWS says."""

    action: str
    resource: str
    type: str
    replaces: str


@dataclass(frozen=True)
class ChangeSet:
    """A change set that was created and not yet executed."""

    stack: str
    name: str
    kind: str  # CREATE or UPDATE
    changes: list[Change]


def find(cloudformation: Any, stack: str) -> dict[str, Any] | None:
    """The stack as DescribeStacks has it; None where there is none, or one that was looked at and never made."""
    found = _described(cloudformation, stack)
    return None if found is None or found["StackStatus"] == "REVIEW_IN_PROGRESS" else found


def parameters(stack: Mapping[str, Any] | None) -> dict[str, str]:
    """The parameters that a stack was made with, by name; none where there is no stack."""
    return {entry["ParameterKey"]: entry["ParameterValue"] for entry in (stack or {}).get("Parameters", [])}


def create_change_set(
    cloudformation: Any,
    stack: str,
    template: str,
    values: Mapping[str, str],
    tags: Mapping[str, str],
    name: str,
    sleep: Callable[[float], None] = time.sleep,
) -> ChangeSet | None:
    """What deploying the template would change, with nothing changed yet; None where that is nothing.

    Parameters that are not given keep the value that the stack has, or get the template's default.

    Raises:
        UserError: CloudFormation refuses the template or a parameter.
    """
    there = find(cloudformation, stack)
    if there and there["StackStatus"] == "ROLLBACK_COMPLETE":
        raise UserError(
            f"stack {stack}: its first creation failed and was taken back; remove what is left of it, then try again: "
            f"python pipeline.py teardown --stack {stack}"
        )
    summary = cloudformation.get_template_summary(TemplateBody=template)
    declared = [entry["ParameterKey"] for entry in summary["Parameters"]]
    if unknown := sorted(values.keys() - set(declared)):
        there_are = ", ".join(sorted(declared))
        raise UserError(f"--set {unknown[0]}: the template has no such parameter; there are {there_are}")
    given: list[dict[str, Any]] = [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]
    kept = [key for key in declared if key in parameters(there) and key not in values]
    given += [{"ParameterKey": key, "UsePreviousValue": True} for key in kept]
    kind = "CREATE" if there is None else "UPDATE"
    cloudformation.create_change_set(
        StackName=stack,
        ChangeSetName=name,
        ChangeSetType=kind,
        TemplateBody=template,
        Parameters=given,
        Capabilities=CAPABILITIES,
        ImportExistingResources=True,  # a bucket that an earlier stack left, a group that `upsert` made
        Tags=[{"Key": key, "Value": value} for key, value in sorted(tags.items())],
    )
    while True:
        answer = cloudformation.describe_change_set(StackName=stack, ChangeSetName=name)
        if answer["Status"] == "CREATE_COMPLETE":
            return ChangeSet(stack, name, kind, _changes(cloudformation, stack, name))
        if answer["Status"] == "FAILED":
            reason = answer.get("StatusReason", "no reason given")
            cloudformation.delete_change_set(StackName=stack, ChangeSetName=name)
            if any(text in reason for text in NOTHING_TO_DO):
                return None
            raise UserError(f"stack {stack}: CloudFormation refuses the change ({reason})")
        sleep(POLL_SECONDS)


def discard(cloudformation: Any, change_set: ChangeSet) -> None:
    """Leave everything as it was: the change set goes, and with it the empty stack that a first one makes."""
    cloudformation.delete_change_set(StackName=change_set.stack, ChangeSetName=change_set.name)
    if change_set.kind == "CREATE":
        cloudformation.delete_stack(StackName=change_set.stack)


def execute(
    cloudformation: Any,
    change_set: ChangeSet,
    listen: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, str]:
    """Make the changes, wait for their end, and return the stack's outputs; `listen` hears of each resource.

    Raises:
        UserError: a resource could not be made; CloudFormation has then rolled back, and the first reason is named.
    """
    before = _event_ids(cloudformation, change_set.stack)
    cloudformation.execute_change_set(StackName=change_set.stack, ChangeSetName=change_set.name)
    _wait(cloudformation, change_set.stack, before, listen, sleep)
    return outputs(find(cloudformation, change_set.stack) or {})


def outputs(stack: Mapping[str, Any]) -> dict[str, str]:
    """The outputs of a stack, by name."""
    return {entry["OutputKey"]: entry["OutputValue"] for entry in stack.get("Outputs", [])}


def kept(cloudformation: Any, stack: str) -> dict[str, str]:
    """What outlives the stack: resource -> the command that removes it."""
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    found = {}
    for page in pages:
        for entry in page["StackResourceSummaries"]:
            if entry["LogicalResourceId"] in KEPT and entry.get("PhysicalResourceId"):
                name = entry["PhysicalResourceId"]
                found[f"{entry['ResourceType']} {name}"] = KEPT[entry["LogicalResourceId"]].format(name)
    return found


def delete(
    cloudformation: Any, stack: str, listen: Callable[[str], None], sleep: Callable[[float], None] = time.sleep
) -> None:
    """Delete the stack and wait for the end.

    Raises:
        UserError: a resource could not be deleted.
    """
    there = find(cloudformation, stack)
    if there is None:
        return
    before = _event_ids(cloudformation, stack)
    cloudformation.delete_stack(StackName=stack)
    _wait(cloudformation, there["StackId"], before, listen, sleep)


def _described(cloudformation: Any, stack: str) -> dict[str, Any] | None:
    found = described(lambda: cloudformation.describe_stacks(StackName=stack))
    return found and found["Stacks"][0]


def _changes(cloudformation: Any, stack: str, name: str) -> list[Change]:
    pages = cloudformation.get_paginator("describe_change_set").paginate(StackName=stack, ChangeSetName=name)
    found = [entry["ResourceChange"] for page in pages for entry in page.get("Changes", [])]
    return [
        Change(entry["Action"], entry["LogicalResourceId"], entry["ResourceType"], entry.get("Replacement", "False"))
        for entry in found
    ]


def _wait(
    cloudformation: Any, stack: str, before: set[str], listen: Callable[[str], None], sleep: Callable[[float], None]
) -> None:
    failures: list[str] = []
    heard = set(before)
    while True:
        for event in reversed(_events(cloudformation, stack)):
            if event["EventId"] in heard:
                continue
            heard.add(event["EventId"])
            state, resource = event.get("ResourceStatus", ""), event.get("LogicalResourceId", "")
            listen(f"{state:<28} {resource}")
            if state.endswith("_FAILED"):
                failures.append(f"{resource}: {event.get('ResourceStatusReason', 'no reason given')}")
        there = _described(cloudformation, stack)
        state = there["StackStatus"] if there else "DELETE_COMPLETE"
        if not state.endswith("_IN_PROGRESS"):
            break
        sleep(POLL_SECONDS)
    if "ROLLBACK" in state or state.endswith("_FAILED"):
        raise UserError(f"stack {stack}: {state}; {failures[0] if failures else 'see its events in the console'}")


def _events(cloudformation: Any, stack: str) -> list[dict[str, Any]]:
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack)
    return described(lambda: [event for page in pages for event in page["StackEvents"]]) or []


def _event_ids(cloudformation: Any, stack: str) -> set[str]:
    return {event["EventId"] for event in _events(cloudformation, stack)}
