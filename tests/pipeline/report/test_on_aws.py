"""The page of an execution on AWS: artifacts in moto's S3; what moto answers not, with botocore's Stubber."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import boto3
import pytest
from botocore.stub import Stubber

from pipeline.aws.executions import StepSummary
from pipeline.parameters import history
from pipeline.report import page
from pipeline.report.facts import gather
from pipeline.report.on_aws import OnAws
from pipeline.settings.content import split_uri
from tests.document import Document, require_whole
from tests.pipeline.answers import JOBS, NOON
from tests.pipeline.report import made

PACKAGE = f"{JOBS}:model-package/dpo/3"

pytestmark = pytest.mark.usefixtures("aws")


@pytest.fixture
def s3():
    client = boto3.client("s3")
    client.create_bucket(Bucket="bucket")
    for uri, content in made.files().items():
        client.put_object(Bucket="bucket", Key=split_uri(uri)[1], Body=content)
    yield client
    for entry in client.list_objects_v2(Bucket="bucket").get("Contents", []):
        client.delete_object(Bucket="bucket", Key=entry["Key"])
    client.delete_bucket(Bucket="bucket")


@pytest.fixture
def source(stub, sagemaker, s3):
    return OnAws(sagemaker, s3, boto3.client("logs"), f"{JOBS}:pipeline/dpo/execution/abcdefghijkl")


def add_processing_job(stub: Stubber, step: str, *outputs: str) -> None:
    found = [
        {"OutputName": name, "S3Output": {"S3Uri": f"{made.RUN}/{step}/{name}", "S3UploadMode": "EndOfJob"}}
        for name in outputs
    ]
    answer = {
        "ProcessingJobName": f"pipelines-1-{step}",
        "ProcessingJobArn": f"{JOBS}:processing-job/pipelines-1-{step}",
        "ProcessingJobStatus": "Completed",
        "CreationTime": NOON,
        "AppSpecification": {"ImageUri": "image"},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 30}
        },
        "ProcessingOutputConfig": {"Outputs": found},
    }
    stub.add_response("describe_processing_job", answer, {"ProcessingJobName": f"pipelines-1-{step}"})


def add_definition(stub: Stubber) -> None:
    stub.add_response("list_pipeline_parameters_for_execution", {"PipelineParameters": []})
    answer = {"PipelineDefinition": json.dumps(made.definition())}
    stub.add_response("describe_pipeline_definition_for_execution", answer)


def add_version(stub: Stubber) -> None:
    package = {
        "ModelPackageName": "dpo/3",
        "ModelPackageGroupName": "dpo",
        "ModelPackageVersion": 3,
        "ModelPackageArn": PACKAGE,
        "CreationTime": NOON,
        "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": []},
        "ModelApprovalStatus": "Approved",
        "CustomerMetadataProperties": {"variant": "adapter"},
    }
    stub.add_response("describe_model_package", package, {"ModelPackageName": PACKAGE})
    left_out = ("ModelPackageName", "ModelPackageStatusDetails", "CustomerMetadataProperties")
    listed = {key: value for key, value in package.items() if key not in left_out}
    stub.add_response("list_model_packages", {"ModelPackageSummaryList": [listed]})


def drawn(source: OnAws, steps: list[StepSummary], status: str = "Succeeded") -> str:
    uses = history.uses(made.definition(), {}, history.defaults(made.definition()))
    return page.render(gather(source, made.summary(status), steps, uses, "python pipeline.py start"), [])


def test_a_page_is_made_of_the_artifacts_in_s3(stub, source):
    add_definition(stub)
    add_processing_job(stub, "Preprocess", "train", "report")
    add_processing_job(stub, "Gate", "decision", "serving")
    add_version(stub)
    steps = [made.step("Preprocess", cached=True), made.step("Gate"), made.step("RegisterAdapter", output=PACKAGE)]
    html = drawn(source, steps)
    require_whole(html)
    text = Document(html).text
    assert "Registered as dpo version 3" in text and "Approved, champion" in text and "on AWS." in text
    assert "12,840" in text and "Accuracy 0.97 meets the threshold." in text and "instance-hours" in text


def test_what_the_caller_may_not_read_is_named_once_and_the_rest_is_shown(stub, source):
    add_definition(stub)
    refusal = "User: arn:aws:iam::1:user/jane is not authorized to perform: sagemaker:DescribeProcessingJob"
    for _ in ("Preprocess", "Gate"):
        stub.add_client_error("describe_processing_job", "AccessDeniedException", refusal)
    html = drawn(source, [made.step("Preprocess"), made.step("Gate")])
    text = Document(html).text
    assert text.count("processing jobs are not shown") == 1 and "sagemaker:DescribeProcessingJob" in text
    assert '<section id="steps"' in html and '<section id="data"' not in html


def test_what_is_gone_is_left_out(stub, source, s3):
    add_definition(stub)
    add_processing_job(stub, "Gate", "decision")
    for entry in s3.list_objects_v2(Bucket="bucket")["Contents"]:
        s3.delete_object(Bucket="bucket", Key=entry["Key"])
    html = drawn(source, [made.step("Gate")])
    assert '<section id="gate"' not in html and '<section id="steps"' in html


def test_the_log_of_a_failed_training_and_its_curves_come_from_cloudwatch(stub, source):
    logs, group = source.logs, "/aws/sagemaker/TrainingJobs"
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="pipelines-1-Train/algo-1-17")
    now = int(datetime.now(UTC).timestamp() * 1000)
    events = [{"timestamp": now + index, "message": line} for index, line in enumerate(made.LOG)]
    logs.put_log_events(logGroupName=group, logStreamName="pipelines-1-Train/algo-1-17", logEvents=events)
    add_definition(stub)
    html = drawn(source, [made.step("Train", "Failed", failure_reason="ClientError: no")], "Failed")
    logs.delete_log_group(logGroupName=group)
    assert "RuntimeError: the loss is not finite" in html and '<section id="curves"' in html
