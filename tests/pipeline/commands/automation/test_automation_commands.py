"""bootstrap, schedule, trigger and teardown as processes, against moto's server over HTTP.

moto makes most of the template's resources, is helped with Scheduler's group, and ignores the bucket's and the queue's
policies and the model package group; whether a policy suffices is not judged by it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.pipeline import moto_gaps, moto_server
from tests.pipeline.moto_server import ACCOUNT, BUCKET

DATA = f"s3://{BUCKET}/dpo/preferences/"
TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:models"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        moto_gaps.fill(patch)
        with moto_server.running() as address:
            yield address


@pytest.fixture(scope="module")
def client(endpoint: str):
    return lambda service: moto_server.client(endpoint, service)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return moto_server.write_settings(tmp_path_factory.mktemp("configs"))


@pytest.fixture(scope="module")
def aws(forked, endpoint: str, settings: Path):
    """Run a command against moto's server."""
    variables = moto_server.access(endpoint, settings.parent)
    return lambda *words: forked("pipeline.py", *words, "--settings", settings, **variables)


@pytest.fixture(scope="module")
def made(aws, client, settings: Path) -> dict:
    """The stack, with its values in the account file, and the pipeline."""
    refused = aws("schedule", "--rate", "7 days")
    assert refused.returncode == 1 and "automation is missing" in refused.stderr
    assert f"python pipeline.py bootstrap --settings {settings}" in refused.stderr
    asked = aws("bootstrap")
    assert asked.returncode == 1 and "create stack dpo-pipeline" in asked.stderr and "Debounce" in asked.stderr
    assert client("s3").list_buckets()["Buckets"] == []
    done = aws("bootstrap", "--yes")
    assert done.returncode == 0, done.stderr
    assert "log lines older than 90 days will be deleted, of all jobs of the account: /aws/sagemaker/Pro" in done.stderr
    values = yaml.safe_load(done.stdout)
    assert "says otherwise for" in done.stderr and "put the lines above into it" in done.stderr
    account = yaml.safe_load((settings.parent / "account.yaml").read_text()) | values
    (settings.parent / "account.yaml").write_text(yaml.safe_dump(account))
    upserted = aws("upsert")
    assert upserted.returncode == 0, upserted.stderr
    return values


def test_bootstrap_makes_bucket_roles_queue_and_group_and_says_how_to_go_on(made: dict, aws, client) -> None:
    assert made["bucket"] == BUCKET and made["role_arn"].endswith(":role/dpo-pipeline-execution")
    roles = {role["RoleName"] for role in client("iam").list_roles()["Roles"]}
    assert {f"dpo-pipeline-{name}" for name in ("execution", "scheduler", "events", "debounce")} <= roles
    assert made["roles"]["train"].endswith(":role/dpo-pipeline-train") and len(made["roles"]) == 7
    assert {arn.rpartition("/")[2] for arn in made["roles"].values()} <= roles
    groups = client("logs").describe_log_groups(logGroupNamePrefix="/aws/sagemaker/")["logGroups"]
    assert {one["logGroupName"].rpartition("/")[2]: one["retentionInDays"] for one in groups} == {
        "ProcessingJobs": 90,
        "TrainingJobs": 90,
    }
    assert client("lambda").get_function(FunctionName="dpo-pipeline-debounce")


def test_a_name_that_the_roles_would_not_cover_is_refused(aws) -> None:
    done = aws("bootstrap", "--set", "Name=pref")
    assert done.returncode == 1 and "--set Name=dpo" in done.stderr


def test_a_schedule_is_made_changed_listed_and_deleted(made: dict, aws, client) -> None:
    words = ("schedule", "--cron", "0 6 ? * MON *", "--timezone", "Europe/Berlin", "--set", "Beta=0.3")
    first = aws(*words)
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("schedule retrain created: cron(0 6 ? * MON *) Europe/Berlin")
    found = client("scheduler").get_schedule(Name="dpo-quickstart.retrain", GroupName="dpo-pipeline")
    target = found["Target"]
    assert target["Arn"].endswith(":pipeline/dpo-quickstart") and target["RoleArn"].endswith("dpo-pipeline-scheduler")
    values = target["SageMakerPipelineParameters"]["PipelineParameterList"]
    assert values == [{"Name": "Beta", "Value": "0.3"}, {"Name": "SkipIfNoNewData", "Value": "true"}]
    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 10, "MaximumEventAgeInSeconds": 3600}
    assert target["DeadLetterConfig"]["Arn"] == made["automation"]["dead_letter_queue_arn"]
    assert found["FlexibleTimeWindow"] == {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}
    assert "retrain unchanged" in aws(*words).stdout
    assert "retrain updated" in aws(*words, "--flexible-minutes", "0", "--set", "SkipIfNoNewData=false").stdout
    (listed,) = json.loads(aws("schedules", "--json").stdout)
    assert (listed["name"], listed["state"], listed["timezone"]) == ("retrain", "ENABLED", "Europe/Berlin")
    assert listed["parameters"] == {"Beta": "0.3", "SkipIfNoNewData": "false"} and listed["next_run"]
    assert "Beta=0.3 SkipIfNoNewData=false" in aws("schedules").stdout
    wrong = aws("unschedule", "retrian")
    assert wrong.returncode == 1 and "did you mean retrain?" in wrong.stderr
    assert aws("unschedule", "retrain").stdout == "schedule retrain deleted\n"
    assert "no schedules yet" in aws("schedules").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give either --cron or --rate"),
        (("--cron", "0 6 ? * MON *", "--rate", "7 days"), "give either --cron or --rate"),
        (("--rate", "7 days", "--set", "Bta=1"), "Bta: no such parameter; did you mean Beta?"),
        (("--rate", "7 days", "--set", "Beta=0"), "Beta: must be greater than 0"),
        (("--rate", "7 days", "--name", "every week"), "--name every week: must be 1 to 20 letters"),
        (("--rate", "7 days", "--flexible-minutes", "2000"), "--flexible-minutes 2000: must be 0 to 1440"),
        (("--cron", "0 6 * * 1"), "a crontab's five are written so: '0 6 ? * 2 *'"),
    ],
)
def test_a_wrong_schedule_is_refused_before_it_is_made(made: dict, aws, client, words: tuple, said: str) -> None:
    done = aws("schedule", *words)
    assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr
    assert client("scheduler").list_schedules(GroupName="dpo-pipeline")["Schedules"] == []


def test_new_data_starts_the_pipeline_by_way_of_a_rule_that_says_it_all(made: dict, aws, client) -> None:
    s3 = client("s3")
    kept = {
        "QueueConfigurations": [
            {"QueueArn": made["automation"]["dead_letter_queue_arn"], "Events": ["s3:ObjectRemoved:*"]}
        ]
    }
    s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration=kept)
    first, second = (aws("trigger", "--on-new-data", DATA, "--quiet-minutes", "5", "--json") for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert f"{BUCKET} now tells EventBridge of new objects" in first.stderr
    assert [json.loads(done.stdout)["outcome"] for done in (first, second)] == ["created", "unchanged"]
    notified = s3.get_bucket_notification_configuration(Bucket=BUCKET)
    assert len(notified["QueueConfigurations"]) == 1  # moto does not give the rest back: see test_stack.py
    events, name = client("events"), f"dpo-quickstart.{json.loads(first.stdout)['trigger']}"
    pattern = json.loads(events.describe_rule(Name=name)["EventPattern"])
    assert pattern["detail"] == {"bucket": {"name": [BUCKET]}, "object": {"key": [{"prefix": "dpo/preferences/"}]}}
    (target,) = events.list_targets_by_rule(Rule=name)["Targets"]
    assert target["Arn"] == made["automation"]["debounce_function_arn"]
    given = json.loads(target["Input"])
    assert (given["quiet"], given["schedule"]["Name"], given["schedule"]["GroupName"]) == (5, name, "dpo-pipeline")
    (listed,) = json.loads(aws("triggers", "--json").stdout)
    assert listed["on"] == f"New data under {DATA}" and listed["target"].endswith(":pipeline/dpo-quickstart")
    assert listed["parameters"] == {"InputDataUri": DATA, "SkipIfNoNewData": "true"}


def test_an_approved_version_is_told_and_the_policy_that_it_needs_is_named(made: dict, aws, client) -> None:
    done = aws("trigger", "--on-model-approved", TOPIC, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    rule = f"dpo-quickstart.{answer['trigger']}"
    arn = f"arn:aws:events:us-east-1:{ACCOUNT}:rule/{rule}"
    assert answer["needs"].startswith(f"in the resource policy of {TOPIC}: ")
    statement = json.loads(answer["needs"].partition(": ")[2])
    assert (statement["Action"], statement["Condition"]) == ("sns:Publish", {"ArnEquals": {"aws:SourceArn": arn}})
    pattern = json.loads(client("events").describe_rule(Name=rule)["EventPattern"])
    assert pattern["detail"] == {"ModelPackageGroupName": ["dpo-quickstart"], "ModelApprovalStatus": ["Approved"]}
    project = f"arn:aws:codebuild:us-east-1:{ACCOUNT}:project/dpo-deploy"
    built = json.loads(aws("trigger", "--on-model-approved", project, "--json").stdout)
    (target,) = client("events").list_targets_by_rule(Rule=f"dpo-quickstart.{built['trigger']}")["Targets"]
    assert target["RoleArn"] == made["automation"]["events_role_arn"] and "InputTransformer" not in target


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give either --on-new-data s3://bucket/prefix/ or --on-model-approved ARN"),
        (("--on-new-data", "s3://bucket/data"), 'must be an S3 prefix that ends in "/"'),
        (("--on-new-data", f"s3://{BUCKET}/dpo/"), "would start itself again and again"),
        (("--on-new-data", f"s3://{BUCKET}/dpo/dpo-quickstart/runs/"), "would start itself again and again"),
        (("--on-new-data", DATA, "--quiet-minutes", "0"), "--quiet-minutes 0: must be 1 to 120"),
        (("--on-model-approved", "echo"), "must be the ARN of an SNS topic"),
        (("--on-model-approved", "arn:aws:iam::123456789012:role/x"), "must be the ARN of an SNS topic"),
        (("--on-model-approved", TOPIC, "--set", "Beta=1"), "--set goes with --on-new-data"),
    ],
)
def test_a_wrong_trigger_is_refused(made: dict, aws, words: tuple, said: str) -> None:
    done = aws("trigger", *words)
    assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr


def test_teardown_takes_schedules_and_triggers_too_and_names_what_it_keeps(made: dict, aws, client) -> None:
    assert aws("schedule", "--rate", "7 days").returncode == 0
    scheduler, events = client("scheduler"), client("events")
    (target, *_) = json.loads(aws("triggers", "--json").stdout)
    planned = {
        "Name": f"dpo-quickstart.{target['name']}",
        "GroupName": "dpo-pipeline",
        "ScheduleExpression": "at(2030-01-01T00:00:00)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": target["target"], "RoleArn": made["automation"]["scheduler_role_arn"]},
    }
    scheduler.create_schedule(**planned)  # as the function plans a start
    scheduler.create_schedule(**planned | {"Name": "dpo-other.retrain"})
    refused = aws("teardown", "--yes")
    assert refused.returncode == 1 and "other pipelines' schedules or triggers stand on it: dpo-other" in refused.stderr
    scheduler.delete_schedule(Name="dpo-other.retrain", GroupName="dpo-pipeline")
    asked = aws("teardown")
    assert asked.returncode == 1 and f"kept: AWS::S3::Bucket {BUCKET}" in asked.stderr
    assert "to be deleted: schedule retrain" in asked.stderr and events.list_rules()["Rules"]
    done = aws("teardown", "--yes")
    assert done.returncode == 0, done.stderr
    assert "stack dpo-pipeline deleted" in done.stdout and f"kept AWS::S3::Bucket {BUCKET}" in done.stdout
    assert events.list_rules()["Rules"] == []
    assert client("cloudformation").list_stack_resources
    gone = aws("teardown", "--yes")
    assert gone.returncode == 1 and "there is none in" in gone.stderr
