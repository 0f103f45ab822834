"""The template: clean under cfn-lint, least privilege, enough for what the code calls; and its one function."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from pipeline import feedback
from pipeline.account.template import LONGEST, TEMPLATE, body, listed, policies, read
from pipeline.automation import triggers
from pipeline.settings import workflow as workflow_settings
from pipeline.settings.account import Automation
from tests.paths import ROOT
from tests.pipeline.account.boto_calls import calls, modules

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
    r"\$\{\w+(\.\w+)?\}|GetAtt|\"Ref\": \"(HubSecret|TrackingSecrets|ReadArns|JudgeArns)\""
    r"|repository/djl-inference|log-group:/aws/sagemaker/|-job/pipelines-\*"
    r"|(network-interface|subnet|mlflow-app)/\*"
)
# The stack itself, and which rules lead to its function, are an administrator's to change (bootstrap, teardown).
ADMINISTRATORS = {f"pipeline/account/{name}.py" for name in ("stack", "parameters", "log_groups")}
ADMINISTRATORS.add("pipeline/forgetting/places.py")  # it deletes versions of objects for good
OF_APPROVERS = {"sagemaker:UpdateModelPackage"}
NOT_THE_OPERATORS = {"events:ListRuleNamesByTarget"}


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
    documents = [(name, one) for name, one in policies(resources) if resources[name]["Type"] != "AWS::EC2::VPCEndpoint"]
    assert len(documents) >= 30
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
        for statement in document["Statement"] if resources[name]["Type"] != "AWS::EC2::VPCEndpoint" else ():
            if "iam:PassRole" in listed(statement["Action"]):
                passed += 1
                assert statement["Action"] == "iam:PassRole" and "*" not in json.dumps(statement["Resource"]), name
                assert "iam:PassedToService" in statement["Condition"]["StringEquals"], name
    assert passed == 5  # the pipeline's, operators' three, the function's
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
    from pipeline.account.outputs import AUTOMATION, ROLES, account_values
    from pipeline.settings import workflow as settings
    from pipeline.settings.account import Account, Automation, Roles

    assert set(AUTOMATION) == set(Automation.model_fields)
    assert set(ROLES) == set(Roles.model_fields)
    assert {"RoleArn", "BucketName", *ROLES.values(), *AUTOMATION.values()} <= set(template["Outputs"])
    assert "SubnetIds" in template["Parameters"]
    workflow = settings.load(settings.DEFAULT_SETTINGS)
    arn = "arn:aws:{}:us-east-1:111122223333:{}"
    outputs = {
        "RoleArn": workflow.account.role_arn,
        "BucketName": "dpo-bucket",
        "ScheduleGroupName": "dpo",
        **{name: f"{workflow.account.role_arn}-{name}" for name in ROLES.values()},
        **{name: arn.format("iam", "role/dpo") for name in ("SchedulerRoleArn", "EventsRoleArn")},
        "DeadLetterQueueArn": arn.format("sqs", "dpo"),
        "DebounceFunctionArn": arn.format("lambda", "function:dpo"),
        "SecurityGroupId": "sg-0123abcd",
        "KeyArn": arn.format("kms", "key/1a2b"),
    }
    said = account_values(workflow.account, outputs, {"SubnetIds": "subnet-0123abcd,subnet-4567abcd"})
    read = Account.model_validate(said | {"images": workflow.account.images.model_dump()})
    assert read.role_of("train") == outputs["TrainRoleArn"] and read.role_of("serve") == outputs["ServeRoleArn"]
    assert read.security.subnets == ["subnet-0123abcd", "subnet-4567abcd"]
    assert read.security.security_groups == ["sg-0123abcd"]
    assert read.security.volume_kms_key == read.security.output_kms_key == outputs["KeyArn"]


# --- what the code calls is what the policies allow; of the jobs' roles test_roles.py ---


def test_operator_and_approver_may_do_what_the_commands_call(resources: dict[str, Any]) -> None:
    allows = allowed(resources, "OperatorPolicy", "OperatorPolicyKey")
    missing = {}
    for path in modules("pipeline"):
        name = str(path.relative_to(ROOT))
        needs = [actions for actions in calls(path) if not actions & (allows | NOT_THE_OPERATORS | OF_APPROVERS)]
        if needs and name not in ADMINISTRATORS:
            missing[name] = needs
    assert missing == {}
    assert {"sagemaker:StartPipelineExecution"} in calls(ROOT / "pipeline" / "aws" / "executions.py")
    for action in ("events:PutRule", "events:ListRules", "s3:PutBucketNotification"):
        assert {action} in calls(ROOT / "pipeline" / "automation" / "triggers.py")
    approves = allowed(resources, "ApproverPolicy")
    assert approves >= OF_APPROVERS and not OF_APPROVERS & allows
    for name in ("registry", "served"):
        looks = calls(ROOT / "pipeline" / "versions" / f"{name}.py")
        assert len(looks) >= 1 and [actions for actions in looks if not actions & approves] == []


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
            assert f":{kind}" in granted(resources, "TrainRole", action), (kind, action)


def test_an_operator_may_make_a_model_of_a_version_and_the_endpoint_may_report(resources: dict[str, Any]) -> None:
    models = granted(resources, "OperatorPolicy", "sagemaker:CreateModel")
    assert ":model/${Name}-*" in models and ":model-package/${Name}-*" in models
    assert '"/aws/sagemaker/Endpoints"' in granted(resources, "ServeRole", "cloudwatch:PutMetricData")
    assert '"ServeRole"' in granted(resources, "OperatorPolicy", "iam:PassRole")


def test_cloudformation_gets_the_same_template_in_a_request_it_takes(template: dict[str, Any]) -> None:
    text = body()
    assert json.loads(text) == template and len(text.encode()) <= LONGEST
    assert '"Fn::GetAtt":"' not in text and '"Fn::Condition"' not in text  # JSON's forms of both are others


def test_endpoints_are_for_the_accounts_own_and_s3s_for_named_buckets(resources: dict[str, Any]) -> None:
    own = {"StringEquals": {"aws:PrincipalAccount": {"Ref": "AWS::AccountId"}}}
    found = {name: one["Properties"] for name, one in resources.items() if one["Type"] == "AWS::EC2::VPCEndpoint"}
    assert len(found) == 9
    for name, endpoint in found.items():
        statements = endpoint["PolicyDocument"]["Statement"]
        if name != "S3Endpoint":
            assert [statement["Condition"] for statement in statements] == [own], name
            assert endpoint["SecurityGroupIds"] == [{"Ref": "EndpointsSecurityGroup"}]
            continue
        bucket, layers, elsewhere = statements
        assert bucket["Condition"] == own and "Bucket" in json.dumps(bucket["Resource"])
        assert bucket["Action"] and all("*" not in action for action in bucket["Action"])
        # ECR signs the addresses of layers itself: a condition on the principal would let no image through.
        assert "starport-layer-bucket/*" in json.dumps(layers["Resource"]) and "Condition" not in layers
        assert elsewhere["Fn::If"][0] == "ReadsElsewhere" and elsewhere["Fn::If"][1]["Condition"] == own


def test_jobs_in_the_vpc_reach_s3_the_endpoints_and_each_other(resources: dict[str, Any]) -> None:
    inline = resources["JobsSecurityGroup"]["Properties"]["SecurityGroupEgress"]
    assert [rule["DestinationPrefixListId"] for rule in inline] == [{"Ref": "S3PrefixList"}]
    others = {name: one for name, one in resources.items() if one["Type"] == "AWS::EC2::SecurityGroupEgress"}
    assert all(one["Properties"]["GroupId"] == {"Ref": "JobsSecurityGroup"} for one in others.values())
    to_all = [name for name, one in others.items() if "CidrIp" in one["Properties"]]
    assert to_all == ["JobsToTheInternet"] and others["JobsToTheInternet"]["Condition"] == "HasInternet"
    assert {"JobsToEachOther", "JobsToEndpoints"} == set(others) - set(to_all)


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


def test_feedback_starts_one_execution_as_data_does_and_captures_start_none(function: Any) -> None:
    workflow = workflow_settings.load(ROOT / "configs" / "loop.yaml")
    bucket, names = workflow.account.bucket, "arn:aws:{}:us-east-1:123456789012:{}"
    stands_on = Automation(
        schedule_group=GROUP,
        scheduler_role_arn="arn:aws:iam::123456789012:role/s",
        events_role_arn="arn:aws:iam::123456789012:role/e",
        dead_letter_queue_arn=names.format("sqs", "dead"),
        debounce_function_arn=names.format("lambda", "function:debounce"),
    )
    data = f"s3://{bucket}/dpo/preferences/"
    rule, target = triggers.new_data(workflow, data, 15, PIPELINE, {"InputDataUri": data}, stands_on)
    s3, events, queues = (boto3.client(name) for name in ("s3", "events", "sqs"))
    s3.create_bucket(Bucket=bucket)
    triggers.enable_events(s3, bucket)
    events.put_rule(**rule)
    queue = queues.create_queue(QueueName="calls")["QueueUrl"]  # in the function's place, which moto does not call
    events.put_targets(Rule=rule["Name"], Targets=[{"Id": "calls", "Arn": names.format("sqs", "calls")}])

    where = "version-1/dpo-quickstart/AllTraffic/2026/01/14/12/00-01-1f.jsonl"
    s3.put_object(Bucket=bucket, Key=f"{workflow.captures_uri.removeprefix(f's3://{bucket}/')}{where}", Body=b"{}")
    assert "Messages" not in queues.receive_message(QueueUrl=queue)
    for number in range(3):
        feedback.say(workflow.feedback_uri, f"id-{number}", "down", correction="Lima", by="ann", client=s3)
    s3.put_object(Bucket=bucket, Key="dpo/preferences/a.jsonl", Body=b"{}")
    told = queues.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    assert len(told) == 4
    for _ in told:
        function.now += timedelta(minutes=1)
        function.handler(json.loads(target["Input"]), None)
    assert planned(function) == {rule["Name"]: "at(2026-01-14T12:20:00)"}
    start = function.find(rule["Name"], GROUP)["Target"]
    assert start["Arn"] == PIPELINE and triggers.parameters_of(start) == {"InputDataUri": data}

    elsewhere, _ = triggers.new_data(workflow, "s3://theirs/pairs/", 15, PIPELINE, {}, stands_on)
    assert json.loads(elsewhere["EventPattern"])["detail"] == {
        "$or": [
            {"bucket": {"name": ["theirs"]}, "object": {"key": [{"prefix": "pairs/"}]}},
            {"bucket": {"name": [bucket]}, "object": {"key": [{"prefix": "dpo/dpo-loop/feedback/"}]}},
        ]
    }


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
