"""The template: clean under cfn-lint, least privilege, enough for what the code calls; and its one function."""

from __future__ import annotations

import ast
import json
import re
import types
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import xform_name
from botocore.session import Session
from moto import mock_aws

from pipeline.account.template import TEMPLATE, listed, policies, read
from tests.paths import ROOT

POLICY_LIMITS = {"AWS::IAM::ManagedPolicy": 6144, "AWS::IAM::Role": 10240}  # characters, white space not counted
# Actions for which IAM knows no resource, or of which nobody knows the name before.
WITHOUT_RESOURCE = {
    "cloudwatch:GetMetricData", "cloudwatch:PutMetricData", "ec2:DescribeDhcpOptions", "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs", "ecr:GetAuthorizationToken",
    "events:ListRules", "logs:DescribeLogGroups", "sagemaker:ListEndpointConfigs", "sagemaker:ListEndpoints",
    "sagemaker:ListModels", "scheduler:ListSchedules", "servicequotas:ListAWSDefaultServiceQuotas",
    "servicequotas:ListServiceQuotas",
}  # fmt: skip
# A parameter or another resource in the name, or a name that AWS gives; interfaces, subnets and MLflow Apps have none
# before.
SCOPED = re.compile(
    r"\$\{\w+(\.\w+)?\}|GetAtt|repository/djl-inference|log-group:/aws/sagemaker/|-job/pipelines-\*"
    r"|(network-interface|subnet|mlflow-app)/\*"
)
# boto3's calls whose IAM action has another name; None: needs no permission.
ACTIONS = {
    "s3:HeadObject": "s3:GetObject", "s3:UploadFile": "s3:PutObject", "s3:DownloadFile": "s3:GetObject",
    "s3:ListObjectsV2": "s3:ListBucket", "s3:GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:PutBucketNotificationConfiguration": "s3:PutBucketNotification", "sts:GetCallerIdentity": None,
    "s3:ListObjectVersions": "s3:ListBucketVersions", "s3:DeleteObjects": "s3:DeleteObjectVersion",
}  # fmt: skip
# The stack itself, and which rules lead to its function, are an administrator's to change (bootstrap, teardown).
ADMINISTRATORS = {"pipeline/account/stack.py"}
NOT_THE_OPERATORS = {"events:ListRuleNamesByTarget"}
BY_POSITION = {"upload_file": "s3:UploadFile", "download_file": "s3:DownloadFile"}
SERVICES = (
    "sagemaker", "s3", "sts", "logs", "scheduler", "events", "cloudwatch", "ecr", "ec2", "iam", "kms", "secretsmanager",
    "service-quotas",
)  # fmt: skip
PREFIXES = {"service-quotas": "servicequotas"}  # what IAM calls a service otherwise


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return read()


@pytest.fixture(scope="module")
def resources(template: dict[str, Any]) -> dict[str, Any]:
    return template["Resources"]


def allowed(resources: dict[str, Any], *names: str) -> set[str]:
    return {
        action
        for name, document in policies(resources)
        if name in names
        for statement in document["Statement"]
        if "Resource" in statement
        for action in listed(statement["Action"])
    }


def test_cfn_lint_finds_nothing() -> None:
    from cfnlint.api import lint_file

    assert [f"{match.rule.id} line {match.linenumber}: {match.message}" for match in lint_file(TEMPLATE)] == []


def test_no_policy_allows_a_wildcard_action_or_an_unscoped_resource(resources: dict[str, Any]) -> None:
    documents = list(policies(resources))
    assert len(documents) >= 15
    for name, document in documents:
        for statement in document["Statement"]:
            if statement["Effect"] == "Deny":
                continue
            actions, where = listed(statement["Action"]), f"{name} {statement.get('Sid', '')}"
            assert "NotAction" not in statement and "NotResource" not in statement, where
            assert not [action for action in actions if "*" in action], where
            if "*" in listed(statement.get("Resource", [])) and name != "Key":
                assert set(actions) <= WITHOUT_RESOURCE, where
            for resource in listed(statement.get("Resource", [])):
                text = json.dumps(resource)
                assert text == '"*"' or SCOPED.search(text), f"{where}: {text}"


def test_roles_are_passed_to_one_service_and_assumed_by_one(resources: dict[str, Any]) -> None:
    passed = 0
    for name, document in policies(resources):
        for statement in document["Statement"]:
            if "iam:PassRole" in listed(statement["Action"]):
                passed += 1
                assert statement["Action"] == "iam:PassRole" and "*" not in json.dumps(statement["Resource"]), name
                assert "iam:PassedToService" in statement["Condition"]["StringEquals"], name
    assert passed == 5
    for name, resource in resources.items():
        if resource["Type"] == "AWS::IAM::Role":
            (trust,) = resource["Properties"]["AssumeRolePolicyDocument"]["Statement"]
            service = trust["Principal"]["Service"]
            # Lambda assumes a function's role without saying for which account.
            assert service == "lambda.amazonaws.com" or "aws:SourceAccount" in json.dumps(trust["Condition"]), name


def test_policies_fit_into_iams_limits(resources: dict[str, Any]) -> None:
    longest = {"${AWS::Partition}": "aws-us-gov", "${AWS::Region}": "ap-southeast-2", "${AWS::AccountId}": "1" * 12}
    measured = 0
    for name, resource in resources.items():
        limit = POLICY_LIMITS.get(resource["Type"])
        if limit:
            measured += 1
            text = json.dumps([document for owner, document in policies(resources) if owner == name])
            for variable, value in longest.items():
                text = text.replace(variable, value)
            assert len(re.sub(r"\s|\{\"Fn::(Sub|GetAtt)\": ", "", text)) < limit, name
    assert measured >= 5


def test_what_holds_data_outlives_the_stack_and_is_guarded(resources: dict[str, Any]) -> None:
    from pipeline.account.stack import KEPT

    kept = {name for name, resource in resources.items() if resource.get("DeletionPolicy") == "Retain"}
    assert kept == set(KEPT)
    assert all(resources[name]["UpdateReplacePolicy"] == "Retain" for name in kept)
    bucket = resources["Bucket"]["Properties"]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert all(bucket["PublicAccessBlockConfiguration"].values())
    assert bucket["NotificationConfiguration"]["EventBridgeConfiguration"] == {"EventBridgeEnabled": True}


def test_the_outputs_are_what_the_account_file_takes(template: dict[str, Any]) -> None:
    from pipeline.commands.bootstrap import AUTOMATION, account_values
    from pipeline.settings import workflow as settings
    from pipeline.settings.schema import Account, Automation

    assert set(AUTOMATION) == set(Automation.model_fields)
    assert {"RoleArn", "BucketName", *AUTOMATION.values()} <= set(template["Outputs"])
    assert "SubnetIds" in template["Parameters"]
    workflow = settings.load(settings.DEFAULT_SETTINGS)
    arn = "arn:aws:{}:us-east-1:111122223333:{}"
    outputs = {
        "RoleArn": workflow.account.role_arn,
        "BucketName": "dpo-bucket",
        "ScheduleGroupName": "dpo",
        **{name: arn.format("iam", "role/dpo") for name in ("SchedulerRoleArn", "EventsRoleArn")},
        "DeadLetterQueueArn": arn.format("sqs", "dpo"),
        "DebounceFunctionArn": arn.format("lambda", "function:dpo"),
        "SecurityGroupId": "sg-0123abcd",
        "KeyArn": arn.format("kms", "key/1a2b"),
    }
    said = account_values(
        types.SimpleNamespace(workflow=workflow), outputs, {"SubnetIds": "subnet-0123abcd,subnet-4567abcd"}
    )
    read = Account.model_validate(said | {"images": workflow.account.images.model_dump()})
    assert read.security.subnets == ["subnet-0123abcd", "subnet-4567abcd"]
    assert read.security.security_groups == ["sg-0123abcd"]
    assert read.security.volume_kms_key == read.security.output_kms_key == outputs["KeyArn"]


# --- what the code calls is what the policies allow ---


def calls(path: Path) -> list[set[str]]:
    """The boto3 calls in a module, each as the IAM actions of the services that have such a call.

    A client takes keywords alone, but for what boto3 adds to it: so `pattern.search(text)` is none.
    """
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        name = node.func.attr
        if name == "get_paginator":
            assert isinstance(node.args[0], ast.Constant), f"{path} line {node.lineno}: name the operation right here"
            name = str(node.args[0].value)
        elif node.args and name not in BY_POSITION:
            continue
        actions = {ACTIONS.get(action, action) for action in operations().get(name, ())}
        if actions and None not in actions:
            found.append(actions)
    return found


@cache
def operations() -> dict[str, set[str]]:
    """boto3's method -> the operations behind it, of all services that are used here."""
    found: dict[str, set[str]] = {name: {operation} for name, operation in BY_POSITION.items()}
    session = Session()
    for service in SERVICES:
        for operation in session.get_service_model(service).operation_names:
            found.setdefault(xform_name(operation), set()).add(f"{PREFIXES.get(service, service)}:{operation}")
    return found


def modules(folder: str) -> list[Path]:
    return [path for path in sorted((ROOT / folder).rglob("*.py")) if "local" not in path.parts]


def test_an_operator_may_do_what_the_commands_call(resources: dict[str, Any]) -> None:
    allows = allowed(resources, "OperatorPolicy", "OperatorPolicyKey")
    missing = {}
    for path in modules("pipeline"):
        name = str(path.relative_to(ROOT))
        needs = [actions for actions in calls(path) if not actions & (allows | NOT_THE_OPERATORS)]
        if needs and name not in ADMINISTRATORS:
            missing[name] = needs
    assert missing == {}
    assert {"sagemaker:StartPipelineExecution"} in calls(ROOT / "pipeline" / "aws" / "executions.py")
    for action in ("events:PutRule", "events:ListRules", "s3:PutBucketNotification"):
        assert {action} in calls(ROOT / "pipeline" / "automation" / "triggers.py")


def test_who_runs_the_account_test_may_do_what_it_calls_and_delete_nothing_else(resources: dict[str, Any]) -> None:
    both = allowed(resources, "OperatorPolicy", "AccountTestPolicy")
    needs = [actions for path in sorted((ROOT / "tests" / "account").glob("[!t]*.py")) for actions in calls(path)
             if path.stem != "stand_in"]  # fmt: skip
    assert {"sagemaker:DeleteModelPackageGroup"} in needs and {"s3:DeleteObjectVersion"} in needs and len(needs) > 10
    assert [actions for actions in needs if not actions & both] == []
    statements = [one for name, document in policies(resources) if name == "AccountTestPolicy"
                  for one in document["Statement"]]  # fmt: skip
    assert len(statements) == 3
    for one in statements:  # of the bucket's list a condition names the prefix
        places = [one["Condition"]] if "Condition" in one else listed(one["Resource"])
        assert all("account-test" in json.dumps(place) for place in places)


def test_the_check_of_an_account_calls_nothing_that_changes_it() -> None:
    found = {action for path in modules("pipeline/account_check") for actions in calls(path) for action in actions}
    assert {"iam:SimulatePrincipalPolicy", "ecr:BatchGetImage", "secretsmanager:DescribeSecret"} <= found
    reading = ("Get", "List", "Describe", "Simulate", "Head", "BatchGet")
    assert len(found) > 15 and [name for name in found if not name.partition(":")[2].startswith(reading)] == []
    assert "secretsmanager:GetSecretValue" not in found


def test_a_job_may_do_what_the_steps_call(resources: dict[str, Any]) -> None:
    allows = allowed(resources, "ExecutionRole")
    needed = {action for path in modules("steps/champion") for actions in calls(path) for action in actions}
    assert needed == {"s3:GetObject", "s3:ListBucket", "sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages"}
    registered = {action for path in modules("steps/register") for actions in calls(path) for action in actions}
    assert registered == {"sagemaker:CreateModelPackage"}
    rendered = {"sagemaker:CreateProcessingJob", "sagemaker:CreateTrainingJob", "sagemaker:CreateModelPackage"}
    assert needed | rendered | {"sagemaker:AddTags", "iam:PassRole"} <= allows
    tracker = ROOT / "steps" / "train" / "tracking" / "mlflow_run.py"
    mlflow = {
        f"sagemaker-mlflow:{''.join(part.title() for part in name.split('_'))}"
        for name in re.findall(r"client\.(\w+)\(", tracker.read_text())
    }
    assert mlflow - {"sagemaker-mlflow:SetTerminated"} <= allows  # which sends UpdateRun


def granted(resources: dict[str, Any], owner: str, action: str) -> str:
    """What an owner's policies allow an action on, with its conditions, as one text."""
    statements = [
        statement
        for name, document in policies(resources)
        if name == owner
        for statement in document["Statement"]
        if action in listed(statement["Action"])
    ]
    return json.dumps([[statement.get("Resource"), statement.get("Condition")] for statement in statements])


def test_a_job_may_track_with_an_mlflow_app_as_with_a_server(resources: dict[str, Any]) -> None:
    """An App asks for an action of its own; without it every call is refused, whatever sagemaker-mlflow allows."""
    for kind, actions in {
        "mlflow-app/*": ["sagemaker:CallMlflowAppApi", "sagemaker-mlflow:LogBatch"],
        "mlflow-tracking-server/${Name}-*": ["sagemaker-mlflow:LogBatch"],
    }.items():
        for action in actions:
            assert f":{kind}" in granted(resources, "ExecutionRole", action), (kind, action)


def test_an_operator_may_make_a_model_of_a_version_and_the_endpoint_may_report(resources: dict[str, Any]) -> None:
    models = granted(resources, "OperatorPolicy", "sagemaker:CreateModel")
    assert ":model/${Name}-*" in models and ":model-package/${Name}-*" in models
    assert '"/aws/sagemaker/Endpoints"' in granted(resources, "ExecutionRole", "cloudwatch:PutMetricData")


def test_the_rules_may_call_the_function_by_their_arn_alone(resources: dict[str, Any]) -> None:
    """EventBridge sends no source account: a permission that asks for one lets no event through, and says nothing."""
    permission = resources["DebounceByRules"]["Properties"]
    assert permission["Principal"] == "events.amazonaws.com"
    assert "SourceAccount" not in permission
    assert "${AWS::AccountId}:rule/${Name}-*" in permission["SourceArn"]["Fn::Sub"]


# --- the function that waits until uploads have ended ---

GROUP = "dpo-pipeline"
PIPELINE = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/dpo"


@pytest.fixture
def function(template: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The function's code as Lambda runs it, on moto's Scheduler and with a clock that the test sets."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    code = template["Resources"]["Debounce"]["Properties"]["Code"]["ZipFile"]
    assert len(code) <= 4096
    with mock_aws():
        module = types.ModuleType("index")
        exec(compile(code, "index.py", "exec"), module.__dict__)
        module.scheduler.create_schedule_group(Name=GROUP)
        module.now = datetime(2026, 1, 14, 12, tzinfo=UTC)

        class Clock(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:
                return module.now

        module.dt = types.SimpleNamespace(datetime=Clock, timedelta=timedelta, timezone=module.dt.timezone)
        yield module


def event(quiet: int = 15, longest: int = 240) -> dict[str, Any]:
    target = {"Arn": PIPELINE, "RoleArn": "arn:aws:iam::123456789012:role/dpo-pipeline-scheduler"}
    schedule = {
        "Name": "dpo.new-data.1",
        "GroupName": GROUP,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "ActionAfterCompletion": "DELETE",
        "Target": target | {"SageMakerPipelineParameters": {"PipelineParameterList": [{"Name": "A", "Value": "b"}]}},
    }
    return {"quiet": quiet, "longest": longest, "schedule": schedule}


def planned(function: Any) -> dict[str, str]:
    names = [entry["Name"] for entry in function.scheduler.list_schedules(GroupName=GROUP)["Schedules"]]
    return {name: function.find(name, GROUP)["ScheduleExpression"] for name in names}


def test_a_thousand_files_start_the_pipeline_once_when_they_have_come(function: Any) -> None:
    for second in range(1000):  # over 17 minutes, each later than the one before
        function.now = datetime(2026, 1, 14, 12, tzinfo=UTC) + timedelta(seconds=second)
        function.handler(event(), None)
    assert planned(function) == {"dpo.new-data.1": "at(2026-01-14T12:32:00)"}
    there = function.find("dpo.new-data.1", GROUP)
    assert event()["schedule"]["Target"].items() <= there["Target"].items()
    assert there["ActionAfterCompletion"] == "DELETE"


def test_uploads_that_never_end_start_it_all_the_same(function: Any) -> None:
    for minute in range(70):
        function.now = datetime(2026, 1, 14, 12, tzinfo=UTC) + timedelta(minutes=minute)
        function.handler(event(longest=60), None)
    # The first schedule starts an hour after the first file; what came in its last minute and later is the next one's.
    assert planned(function) == {
        "dpo.new-data.1": "at(2026-01-14T13:00:00)",
        "dpo.new-data.1.next": "at(2026-01-14T13:25:00)",
    }


def test_a_file_that_comes_while_it_starts_is_not_lost(function: Any) -> None:
    function.handler(event(), None)
    function.now += timedelta(minutes=16)  # the schedule's time has come, and it may be deleted at any moment
    function.handler(event(), None)
    assert planned(function)["dpo.new-data.1.next"] == "at(2026-01-14T12:32:00)"
    function.scheduler.delete_schedule(Name="dpo.new-data.1", GroupName=GROUP)
    function.now += timedelta(minutes=1)
    function.handler(event(), None)
    assert planned(function)["dpo.new-data.1"] == "at(2026-01-14T12:33:00)"


def test_two_events_at_once_make_one_schedule(function: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    find, blind = function.find, [True, True, False]

    def late(name: str, group: str) -> Any:
        return None if blind and blind.pop() else find(name, group)

    function.handler(event(), None)
    monkeypatch.setattr(function, "find", late)
    blind[:] = [True]  # the schedule is made between the look and the call
    assert function.handler(event(quiet=20), None) == "at(2026-01-14T12:21:00)"
    assert list(planned(function)) == ["dpo.new-data.1"]


def test_lambda_knows_the_functions_runtime(template: dict[str, Any]) -> None:
    model = boto3.Session().client("lambda", region_name="us-east-1").meta.service_model
    assert template["Resources"]["Debounce"]["Properties"]["Runtime"] in model.shape_for("Runtime").enum
