"""Start, list, find and parameters against moto; what moto does not answer, against botocore's Stubber."""

import json
from datetime import timedelta

import pytest

from pipeline.aws import executions
from pipeline.aws.executions import ExecutionSummary, StepSummary
from pipeline.errors import UserError
from tests.pipeline.answers import ARN, JOBS, NOON, STEPS, add_status

ROLE = "arn:aws:iam::123456789012:role/dpo-execution"
DEFINITION = json.dumps({"Version": "2020-12-01", "Parameters": [{"Name": "Beta", "Type": "Float"}], "Steps": []})


pytestmark = pytest.mark.usefixtures("aws")


def test_start_list_and_find(sagemaker):
    sagemaker.create_pipeline(PipelineName="dpo", PipelineDefinition=DEFINITION, RoleArn=ROLE)
    with pytest.raises(UserError, match=r"has no executions yet; start one: python pipeline\.py start$"):
        executions.find(sagemaker, "dpo")
    arn = executions.start(sagemaker, "dpo", {"Beta": "0.2"}, "nightly-7", "t" * 32)
    assert executions.parameters(sagemaker, arn) == ({"Beta": "0.2"}, json.loads(DEFINITION))
    (summary,) = executions.list_executions(sagemaker, "dpo")
    assert (summary.arn, summary.id, summary.pipeline, summary.name) == (arn, arn[-12:], "dpo", "nightly-7")
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
    with pytest.raises(UserError, match=r"token: has 5 characters, must have 32 to 128; make one once .*: uuidgen"):
        executions.start(sagemaker, "dpo", {}, client_request_token="token")


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


def test_stop_and_retry_name_the_execution(sagemaker, stub):
    for operation in ("stop_pipeline_execution", "retry_pipeline_execution"):
        stub.add_response(operation, {"PipelineExecutionArn": ARN}, {"PipelineExecutionArn": ARN})
    executions.stop(sagemaker, ARN)
    executions.retry(sagemaker, ARN)
