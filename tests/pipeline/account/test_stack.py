"""Change sets, their end and the bucket's notifications, with requests checked against botocore's model of the API."""

from __future__ import annotations

import boto3
import pytest
from botocore.stub import ANY, Stubber

from pipeline.account import stack as infrastructure
from pipeline.account.stack import Change, ChangeSet
from pipeline.automation import triggers
from pipeline.errors import UserError

pytestmark = pytest.mark.usefixtures("aws")
STACK = "dpo-pipeline"
ID = "arn:aws:cloudformation:us-east-1:123456789012:stack/dpo-pipeline/1"
SET = ChangeSet(STACK, "bootstrap-1", "UPDATE", [])


@pytest.fixture(scope="module")
def client(aws):
    return boto3.client("cloudformation")


@pytest.fixture
def stub(client):
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def stack(stub, status: str, **more) -> None:
    found = {"StackName": STACK, "StackId": ID, "StackStatus": status, "CreationTime": "2026-01-01T00:00:00Z", **more}
    stub.add_response("describe_stacks", {"Stacks": [found]}, {"StackName": ANY})


def events(stub, *states: tuple[str, str, str]) -> None:
    """Newest first, as AWS has them."""
    found = [
        {
            "StackId": ID, "StackName": STACK, "EventId": f"{number}", "Timestamp": "2026-01-01T00:00:00Z",
            "LogicalResourceId": resource, "ResourceStatus": state, "ResourceStatusReason": reason,
        }
        for number, (resource, state, reason) in enumerate(states)
    ]  # fmt: skip
    stub.add_response("describe_stack_events", {"StackEvents": found[::-1]}, {"StackName": ANY})


def created(stub, parameters: list[dict], kind: str, **answer) -> None:
    known = {"Parameters": [{"ParameterKey": name} for name in ("Name", "CreateKey", "PackageGroup")]}
    stub.add_response("get_template_summary", known, {"TemplateBody": "template"})
    request = {
        "StackName": STACK, "ChangeSetName": "bootstrap-1", "ChangeSetType": kind, "TemplateBody": "template",
        "Parameters": parameters, "Capabilities": ["CAPABILITY_NAMED_IAM"], "Tags": [{"Key": "team", "Value": "a"}],
        "ImportExistingResources": True,
    }  # fmt: skip
    stub.add_response("create_change_set", {"Id": "1", "StackId": ID}, request)
    stub.add_response("describe_change_set", answer, {"StackName": STACK, "ChangeSetName": "bootstrap-1"})


def create(client, parameters: dict[str, str]) -> ChangeSet | None:
    tags = {"team": "a"}
    return infrastructure.create_change_set(client, STACK, "template", parameters, tags, "bootstrap-1", lambda _: None)


def test_an_update_keeps_the_parameters_that_are_not_given_and_says_what_is_replaced(client, stub) -> None:
    values = {"Name": "dpo", "PackageGroup": "g"}
    present = [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]
    stack(stub, "UPDATE_COMPLETE", Parameters=present)
    sent = [
        {"ParameterKey": "CreateKey", "ParameterValue": "true"},
        {"ParameterKey": "Name", "UsePreviousValue": True},
        {"ParameterKey": "PackageGroup", "UsePreviousValue": True},
    ]
    change = {
        "Action": "Modify",
        "LogicalResourceId": "Bucket",
        "ResourceType": "AWS::S3::Bucket",
        "Replacement": "False",
    }
    created(stub, sent, "UPDATE", Status="CREATE_COMPLETE")
    answer = {"Status": "CREATE_COMPLETE", "Changes": [{"Type": "Resource", "ResourceChange": change}]}
    stub.add_response("describe_change_set", answer, {"StackName": STACK, "ChangeSetName": "bootstrap-1"})
    found = create(client, {"CreateKey": "true"})
    assert found == ChangeSet(STACK, "bootstrap-1", "UPDATE", [Change("Modify", "Bucket", "AWS::S3::Bucket", "False")])


def test_a_change_set_without_changes_is_none(client, stub) -> None:
    stack(stub, "CREATE_COMPLETE")
    reason = "The submitted information didn't contain changes. Submit different information to create a change set."
    created(stub, [], "UPDATE", Status="FAILED", StatusReason=reason)
    stub.add_response("delete_change_set", {}, {"StackName": STACK, "ChangeSetName": "bootstrap-1"})
    assert create(client, {}) is None


def test_a_refused_change_is_said_with_its_reason_and_leaves_nothing(client, stub) -> None:
    stack(stub, "CREATE_COMPLETE")
    created(stub, [], "UPDATE", Status="FAILED", StatusReason="Bucket: cannot be imported")
    stub.add_response("delete_change_set", {}, {"StackName": STACK, "ChangeSetName": "bootstrap-1"})
    with pytest.raises(UserError, match=r"^stack dpo-pipeline: CloudFormation refuses the change \(Bucket: cannot"):
        create(client, {})


def test_a_first_attempt_that_was_rolled_back_must_go_first(client, stub) -> None:
    stack(stub, "ROLLBACK_COMPLETE")
    with pytest.raises(UserError, match=r"remove what is left of it, then try again: python pipeline\.py teardown"):
        create(client, {})


def test_an_unknown_parameter_is_named(client, stub) -> None:
    stack(stub, "CREATE_COMPLETE")
    stub.add_response("get_template_summary", {"Parameters": [{"ParameterKey": "Name"}]}, {"TemplateBody": "template"})
    with pytest.raises(UserError, match=r"^--set Nmae: the template has no such parameter; there are Name$"):
        create(client, {"Nmae": "x"})


def test_the_changes_are_told_one_by_one_and_end_with_the_outputs(client, stub) -> None:
    heard: list[str] = []
    events(stub, ("Bucket", "CREATE_COMPLETE", ""))
    stub.add_response("execute_change_set", {}, {"StackName": STACK, "ChangeSetName": "bootstrap-1"})
    known = [("Bucket", "CREATE_COMPLETE", ""), ("Key", "CREATE_IN_PROGRESS", "")]
    events(stub, *known)
    stack(stub, "UPDATE_IN_PROGRESS")
    events(stub, *known, ("Key", "CREATE_COMPLETE", ""))
    stack(stub, "UPDATE_COMPLETE")
    stack(stub, "UPDATE_COMPLETE", Outputs=[{"OutputKey": "BucketName", "OutputValue": "b"}])
    assert infrastructure.execute(client, SET, heard.append, lambda _: None) == {"BucketName": "b"}
    assert [line.split() for line in heard] == [["CREATE_IN_PROGRESS", "Key"], ["CREATE_COMPLETE", "Key"]]


def test_a_resource_that_cannot_be_made_is_named_with_its_reason(client, stub) -> None:
    events(stub)
    stub.add_response("execute_change_set", {}, {"StackName": STACK, "ChangeSetName": "bootstrap-1"})
    events(stub, ("Debounce", "CREATE_FAILED", "no such runtime"), ("Bucket", "CREATE_FAILED", "cancelled"))
    stack(stub, "UPDATE_ROLLBACK_COMPLETE")
    with pytest.raises(UserError) as caught:
        infrastructure.execute(client, SET, lambda _: None, lambda _: None)
    assert str(caught.value) == "stack dpo-pipeline: UPDATE_ROLLBACK_COMPLETE; Debounce: no such runtime"


def test_a_bucket_is_told_to_notify_once_and_keeps_its_other_notifications() -> None:
    s3, other = (
        boto3.client("s3"),
        {"TopicConfigurations": [{"TopicArn": "arn:aws:sns:::t", "Events": ["s3:TestEvent"]}]},
    )
    with Stubber(s3) as stub:
        stub.add_response("get_bucket_notification_configuration", other, {"Bucket": "b"})
        whole = other | {"EventBridgeConfiguration": {}}
        request = {"Bucket": "b", "NotificationConfiguration": whole}
        stub.add_response("put_bucket_notification_configuration", {}, request)
        stub.add_response("get_bucket_notification_configuration", whole, {"Bucket": "b"})
        assert [triggers.enable_events(s3, "b") for _ in range(2)] == [True, False]
        stub.assert_no_pending_responses()


def test_a_target_that_eventbridge_refuses_is_an_error() -> None:
    client = boto3.client("events")
    with Stubber(client) as stub:
        stub.add_client_error("describe_rule", "ResourceNotFoundException")
        stub.add_response("put_rule", {"RuleArn": "arn:aws:events:us-east-1:123456789012:rule/r"}, {"Name": "r"})
        failed = {"FailedEntries": [{"TargetId": "dpo", "ErrorMessage": "no role"}], "FailedEntryCount": 1}
        stub.add_response("put_targets", failed, {"Rule": "r", "Targets": [{"Id": "dpo", "Arn": "arn"}]})
        with pytest.raises(UserError, match=r"^AWS: PutTargets refused arn \(no role\)$"):
            triggers.put(client, {"Name": "r"}, {"Id": "dpo", "Arn": "arn"})
