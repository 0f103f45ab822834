"""Upsert, start, list and assets against moto; what moto does not answer, against botocore's Stubber."""

import json
from datetime import UTC, datetime, timedelta

import boto3
import pytest

from pipeline import executions
from pipeline.errors import UserError
from pipeline.executions import ExecutionSummary, LogLine, StepSummary

ROLE = "arn:aws:iam::123456789012:role/dpo-execution"
DEFINITION = json.dumps({"Version": "2020-12-01", "Steps": []})
ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/dpo/execution/abcdefghijkl"
JOBS = "arn:aws:sagemaker:us-east-1:123456789012"
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


pytestmark = pytest.mark.usefixtures("aws")


def deployed(sagemaker):
    return sagemaker.describe_pipeline(PipelineName="dpo")


def tags(sagemaker):
    return {
        tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=deployed(sagemaker)["PipelineArn"])["Tags"]
    }


def test_upsert_creates_then_leaves_alone_then_updates(sagemaker):
    assert executions.upsert(sagemaker, DEFINITION, "dpo", ROLE, {"team": "a"}) == "created"
    same = json.dumps(json.loads(DEFINITION), indent=2)
    assert executions.upsert(sagemaker, same, "dpo", ROLE, {"team": "a"}) == "unchanged"
    assert deployed(sagemaker)["PipelineDefinition"] == DEFINITION
    other = json.dumps({"Version": "2020-12-01", "Steps": [{}]})
    assert executions.upsert(sagemaker, other, "dpo", ROLE, {"team": "a"}) == "updated"
    assert deployed(sagemaker)["PipelineDefinition"] == other
    assert executions.upsert(sagemaker, other, "dpo", f"{ROLE}-2") == "updated"
    assert deployed(sagemaker)["RoleArn"] == f"{ROLE}-2"


def test_upsert_sets_its_tags_and_keeps_others(sagemaker):
    executions.upsert(sagemaker, DEFINITION, "dpo", ROLE, {"team": "a"})
    sagemaker.add_tags(ResourceArn=deployed(sagemaker)["PipelineArn"], Tags=[{"Key": "cost", "Value": "7"}])
    assert executions.upsert(sagemaker, DEFINITION, "dpo", ROLE, {"team": "b"}) == "updated"
    assert tags(sagemaker) == {"team": "b", "cost": "7"}


def test_the_model_group_is_created_once(sagemaker):
    assert executions.ensure_model_group(sagemaker, "dpo-models", {"team": "a"})
    assert not executions.ensure_model_group(sagemaker, "dpo-models")
    assert sagemaker.describe_model_package_group(ModelPackageGroupName="dpo-models")


def test_assets_are_uploaded_once_and_folders_file_by_file(tmp_path):
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="dpo-bucket")
    (tmp_path / "model" / "deep").mkdir(parents=True)
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "model" / "deep" / "weights").write_text("1")
    (tmp_path / "args.yaml").write_text("beta: 0.1")
    assets = {
        "s3://dpo-bucket/config/0f3a/args.yaml": tmp_path / "args.yaml",
        "s3://dpo-bucket/model/77aa/": tmp_path / "model",
    }
    uploaded = [
        "s3://dpo-bucket/config/0f3a/args.yaml",
        "s3://dpo-bucket/model/77aa/config.json",
        "s3://dpo-bucket/model/77aa/deep/weights",
    ]
    assert executions.upload_assets(s3, assets) == uploaded
    assert s3.get_object(Bucket="dpo-bucket", Key="config/0f3a/args.yaml")["Body"].read() == b"beta: 0.1"
    s3.delete_object(Bucket="dpo-bucket", Key="model/77aa/config.json")
    assert executions.upload_assets(s3, assets) == ["s3://dpo-bucket/model/77aa/config.json"]


def test_start_list_and_find(sagemaker):
    executions.upsert(sagemaker, DEFINITION, "dpo", ROLE)
    with pytest.raises(UserError, match=r"has no executions yet; start one: python pipeline\.py start$"):
        executions.find(sagemaker, "dpo")
    arn = executions.start(sagemaker, "dpo", {"Beta": "0.2"}, "nightly-7", "t" * 32)
    given = sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)["PipelineParameters"]
    assert given == [{"Name": "Beta", "Value": "0.2"}]
    (summary,) = executions.list_executions(sagemaker, "dpo")
    assert (summary.arn, summary.id, summary.pipeline) == (arn, arn[-12:], "dpo")
    assert summary.started.tzinfo is not None
    assert {executions.find(sagemaker, "dpo", name) for name in (None, arn[-12:], arn)} == {arn}


def test_start_sends_name_and_token(sagemaker, stub):
    request = {
        "PipelineName": "dpo",
        "PipelineParameters": [],
        "PipelineExecutionDisplayName": "nightly-7",
        "ClientRequestToken": "t" * 32,
    }
    stub.add_response("start_pipeline_execution", {"PipelineExecutionArn": ARN}, request)
    assert executions.start(sagemaker, "dpo", {}, "nightly-7", "t" * 32) == ARN


@pytest.mark.parametrize("name", ["", "nightly run", "-a", "a" * 83])
def test_start_refuses_a_display_name_that_aws_refuses(sagemaker, name):
    with pytest.raises(UserError, match="must be at most 82 letters, digits and inner hyphens"):
        executions.start(sagemaker, "dpo", {}, name)


def test_start_refuses_a_short_token(sagemaker):
    with pytest.raises(UserError, match="request token: has 5 characters, must have 32 to 128"):
        executions.start(sagemaker, "dpo", {}, client_request_token="token")


STEPS = [
    {
        "StepName": "Preprocess",
        "StepStatus": "Succeeded",
        "StartTime": NOON,
        "EndTime": NOON,
        "CacheHitResult": {"SourcePipelineExecutionArn": ARN},
        "Metadata": {"ProcessingJob": {"Arn": f"{JOBS}:processing-job/pipelines-0-Preprocess"}},
    },
    {
        "StepName": "Train",
        "StepStatus": "Failed",
        "StartTime": NOON,
        "EndTime": NOON,
        "FailureReason": "ClientError: loss is not finite",
        "Metadata": {"TrainingJob": {"Arn": f"{JOBS}:training-job/pipelines-1-Train"}},
    },
    {"StepName": "CheckGate", "StepStatus": "Succeeded", "Metadata": {"Condition": {"Outcome": "True"}}},
    {
        "StepName": "RegisterAdapter",
        "StepStatus": "Succeeded",
        "Metadata": {"RegisterModel": {"Arn": f"{JOBS}:model-package/dpo-models/3"}},
    },
    {"StepName": "RejectModel", "StepStatus": "Starting"},
]


def add_status(stub, state, *pages, reason=None):
    answer = {"PipelineExecutionStatus": state, "CreationTime": NOON, "LastModifiedTime": NOON + timedelta(hours=1)}
    answer |= {"FailureReason": reason} if reason else {}
    stub.add_response("describe_pipeline_execution", answer, {"PipelineExecutionArn": ARN})
    for index, steps in enumerate(pages):
        request = {"PipelineExecutionArn": ARN, "SortOrder": "Ascending"} | ({"NextToken": str(index)} if index else {})
        more = {"NextToken": str(index + 1)} if index + 1 < len(pages) else {}
        stub.add_response("list_pipeline_execution_steps", {"PipelineExecutionSteps": steps} | more, request)


def test_status_tells_all_steps_of_all_pages(sagemaker, stub):
    add_status(stub, "Failed", STEPS[:2], STEPS[2:], reason="Train failed")
    summary, steps = executions.status(sagemaker, ARN)
    hour_later = NOON + timedelta(hours=1)
    assert summary == ExecutionSummary("abcdefghijkl", ARN, "dpo", "Failed", NOON, hour_later, "Train failed")
    train = "ClientError: loss is not finite"
    assert steps == [
        StepSummary("Preprocess", "Processing", "Succeeded", NOON, NOON, None, True, "pipelines-0-Preprocess"),
        StepSummary("Train", "Training", "Failed", NOON, NOON, train, False, "pipelines-1-Train"),
        StepSummary("CheckGate", "Condition", "Succeeded", output="True"),
        StepSummary("RegisterAdapter", "RegisterModel", "Succeeded", output=f"{JOBS}:model-package/dpo-models/3"),
        StepSummary("RejectModel", "", "Starting"),
    ]


def test_wait_tells_each_change_once_and_ends_with_the_execution(sagemaker, stub):
    add_status(stub, "Executing", [])
    add_status(stub, "Executing", [])
    add_status(stub, "Executing", STEPS[:1])
    add_status(stub, "Succeeded", STEPS[:1])
    heard, slept = [], []
    last = executions.wait(sagemaker, ARN, lambda *state: heard.append(state), 15, slept.append)
    assert [(summary.status, len(steps)) for summary, steps in heard] == [
        ("Executing", 0),
        ("Executing", 1),
        ("Succeeded", 1),
    ]
    assert slept == [15, 15, 15]
    assert last == heard[-1][0]


def test_stop_and_retry_name_the_execution(sagemaker, stub):
    for operation in ("stop_pipeline_execution", "retry_pipeline_execution"):
        stub.add_response(operation, {"PipelineExecutionArn": ARN}, {"PipelineExecutionArn": ARN})
    executions.stop(sagemaker, ARN)
    executions.retry(sagemaker, ARN)


def test_logs_are_those_of_the_job_and_not_of_its_namesakes():
    logs = boto3.client("logs")
    group, step = "/aws/sagemaker/TrainingJobs", StepSummary("Train", "Training", "Executing", job_name="job-1")
    assert list(executions.logs(logs, step)) == []
    logs.create_log_group(logGroupName=group)
    now = datetime.now(UTC).replace(microsecond=0)
    for index, stream in enumerate(["job-1/algo-1", "job-1/algo-2", "job-10/algo-1"]):
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        event = {"timestamp": int(now.timestamp() * 1000) + index, "message": f"from {stream}\n"}
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])
    later = now + timedelta(milliseconds=1)
    lines = [LogLine(now, "job-1/algo-1", "from job-1/algo-1"), LogLine(later, "job-1/algo-2", "from job-1/algo-2")]
    assert list(executions.logs(logs, step)) == lines
    assert list(executions.logs(logs, step, since=later)) == lines[1:]


def test_a_step_without_a_job_has_no_log():
    logs = boto3.client("logs")
    assert list(executions.logs(logs, StepSummary("Train", "", "Starting"))) == []
    with pytest.raises(UserError, match="step CheckGate: a Condition step runs no job and has no log"):
        list(executions.logs(logs, StepSummary("CheckGate", "Condition", "Succeeded")))
