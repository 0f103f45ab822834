"""What is deployed, what an upsert changes, assets: against moto; definitions through S3 with botocore's Stubber."""

import json
from dataclasses import replace

import boto3
import pytest

from pipeline.aws import pipelines
from pipeline.aws.pipelines import Wanted

ROLE = "arn:aws:iam::123456789012:role/dpo-execution"
ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/dpo"
DEFINITION = {"Version": "2020-12-01", "Parameters": [], "Steps": [{"Name": "Train", "Type": "Training"}]}
WANTED = Wanted("dpo", json.dumps(DEFINITION), ROLE, "s3://dpo-bucket/dpo/inputs/definitions", tags={"team": "a"})

pytestmark = pytest.mark.usefixtures("aws")


@pytest.fixture
def s3():
    client = boto3.client("s3")
    client.create_bucket(Bucket="dpo-bucket")
    return client


def upsert(sagemaker, s3, wanted):
    """The names of what changed; None for a pipeline that was created."""
    deployed = pipelines.find(sagemaker, "dpo")
    if deployed is None:
        return pipelines.create(sagemaker, s3, wanted)
    changes = pipelines.changes(deployed, wanted)
    if changes:
        pipelines.update(sagemaker, s3, deployed, wanted)
    return [change.name for change in changes]


def test_a_pipeline_is_created_then_found_equal_then_changed(sagemaker, s3):
    assert upsert(sagemaker, s3, WANTED) is None
    assert upsert(sagemaker, s3, replace(WANTED, definition=json.dumps(DEFINITION, indent=2))) == []
    steps = [{"Name": "Train", "Type": "Training", "DisplayName": "T"}, {"Name": "Gate", "Type": "Processing"}]
    other = replace(WANTED, definition=json.dumps(DEFINITION | {"Steps": steps}))
    assert upsert(sagemaker, s3, other) == ["Train", "Gate"]
    assert pipelines.find(sagemaker, "dpo").definition["Steps"] == steps
    assert upsert(sagemaker, s3, other) == []


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"role_arn": f"{ROLE}-2"}, f'+   "role": "{ROLE}-2"'),
        ({"description": "tuned"}, '+   "description": "tuned"'),
        ({"tags": {"team": "b"}}, '+     "team": "b"'),
        ({"max_parallel_steps": 2}, '+   "max_parallel_steps": 2'),
    ],
)
def test_what_stands_around_the_definition_is_compared_and_sent_too(sagemaker, s3, changed, line):
    upsert(sagemaker, s3, WANTED)
    deployed = pipelines.find(sagemaker, "dpo")
    (change,) = pipelines.changes(deployed, replace(WANTED, **changed))
    assert change.name == "pipeline" and line in change.lines
    pipelines.update(sagemaker, s3, deployed, replace(WANTED, **changed))
    assert pipelines.changes(pipelines.find(sagemaker, "dpo"), replace(WANTED, **changed)) == []


def test_tags_that_others_put_on_it_stay(sagemaker, s3):
    upsert(sagemaker, s3, WANTED)
    arn = pipelines.find(sagemaker, "dpo").arn
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "cost", "Value": "7"}])
    assert upsert(sagemaker, s3, WANTED) == []
    assert upsert(sagemaker, s3, replace(WANTED, tags={"team": "b"})) == ["pipeline"]
    assert pipelines.find(sagemaker, "dpo").tags == {"team": "b", "cost": "7"}


def test_a_long_definition_goes_through_s3_and_is_compared_by_its_text(sagemaker, stub, s3):
    """moto would give back an object where AWS gives the text."""
    text = json.dumps(DEFINITION | {"Metadata": {"note": "x" * pipelines.INLINE_LIMIT}})
    wanted = replace(WANTED, definition=text, tags={})
    create = {"PipelineArn": ARN}
    seen = {}

    def take_location(params, **_):
        seen.update(params)

    sagemaker.meta.events.register("provide-client-params.sagemaker.CreatePipeline", take_location)
    stub.add_response("create_pipeline", create)
    pipelines.create(sagemaker, s3, wanted)
    sagemaker.meta.events.unregister("provide-client-params.sagemaker.CreatePipeline", take_location)
    location = seen["PipelineDefinitionS3Location"]
    assert "PipelineDefinition" not in seen
    assert location["ObjectKey"].startswith("dpo/inputs/definitions/")
    body = s3.get_object(Bucket=location["Bucket"], Key=location["ObjectKey"])["Body"].read()
    assert body.decode() == text
    stub.add_response(
        "describe_pipeline", {"PipelineArn": ARN, "PipelineDefinition": text, "RoleArn": ROLE}, {"PipelineName": "dpo"}
    )
    stub.add_response("list_tags", {"Tags": []}, {"ResourceArn": ARN})
    deployed = pipelines.find(sagemaker, "dpo")
    assert pipelines.changes(deployed, wanted) == []
    other = replace(wanted, definition=text.replace("Training", "Tuning"))
    assert [change.name for change in pipelines.changes(deployed, other)] == ["Train"]


def test_the_model_group_is_created_once_and_gets_tags_that_came_later(sagemaker):
    assert pipelines.ensure_model_group(sagemaker, "dpo-models", {})
    assert not pipelines.ensure_model_group(sagemaker, "dpo-models", {"team": "a"})
    arn = sagemaker.describe_model_package_group(ModelPackageGroupName="dpo-models")["ModelPackageGroupArn"]
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "a"}]


def test_a_deleted_pipeline_is_gone(sagemaker, s3):
    upsert(sagemaker, s3, WANTED)
    pipelines.delete(sagemaker, "dpo")
    assert pipelines.find(sagemaker, "dpo") is None
